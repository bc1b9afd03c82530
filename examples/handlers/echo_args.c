// SPDX-License-Identifier: MIT
// A handler in C without any library: answers each request with its own args, which always stand last.
//
// cc -O2 -o echo_args examples/handlers/echo_args.c
// workpool run jobs.jsonl --handler echo_args=./echo_args
// {"type": "echo_args", "args": [1, 2, 3]}
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

int main(void) {
  char* line = NULL;
  size_t room = 0;
  ssize_t size;
  while ((size = getline(&line, &room, stdin)) > 0) {
    const char* const args = strstr(line, "\"args\":");
    if (args == NULL || size < 2 || line[size - 2] != '}') {
      puts("{\"error\":\"this is no request\"}");
    } else {
      const char* const value = args + strlen("\"args\":");
      printf("{\"value\":%.*s}\n", (int)(line + size - 2 - value), value);
    }
    fflush(stdout);
  }
  return 0;
}
