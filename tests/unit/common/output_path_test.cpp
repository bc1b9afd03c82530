// SPDX-License-Identifier: MIT
#include "common/formats/output_path.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool {
namespace {

TEST(OutputPath, PlaceholdersAreReplaced) {
  EXPECT_EQ(expanded_output_path("out/{line}-{id}.{attempt}", "a b", 7, 3), "out/7-a b.3");
  EXPECT_EQ(expanded_output_path("{{line}{line}{{{{", "x", 7, 3), "{line}7{{");
  EXPECT_EQ(expanded_output_path("{id}", "{line}", 7, 3), "{line}") << "an id is no template";
  EXPECT_EQ(expanded_output_path("plain", "x", 7, 3), "plain");
  EXPECT_EQ(expanded_output_path("\xff{line}}", "x", 7, 3),
            "\xff"
            "7}");
}

TEST(OutputPath, AnIdLeadsToNoOtherFolder) {
  EXPECT_EQ(expanded_output_path("o/{id}.txt", "../../a/b", 1, 1), "o/.._.._a_b.txt");
  EXPECT_EQ(expanded_output_path("o/{id}/out", "..", 1, 1), "o/__/out");
  EXPECT_EQ(expanded_output_path("o/.{id}/out", ".", 1, 1), "o/._/out");
  EXPECT_EQ(expanded_output_path("o/{id}/out", "..a", 1, 1), "o/..a/out");
}

TEST(OutputPath, WhatIsNoPathIsSaid) {
  for (const std::string good : {"a", "/a/b", "{id}", "{{", "a}b", "..", "{line}{attempt}"})
    EXPECT_EQ(output_path_fault(good), "") << good;
  EXPECT_NE(output_path_fault("").find("empty"), std::string::npos);
  EXPECT_NE(output_path_fault("a/").find("folder"), std::string::npos);
  EXPECT_NE(output_path_fault(std::string("a\0b", 3)).find("NUL"), std::string::npos);
  for (const std::string bad : {"{", "{}", "{ids}", "{{{", "a{line", "{Line}"})
    EXPECT_NE(output_path_fault(bad).find("{id}, {line} and {attempt}"), std::string::npos) << bad;
}

TEST(OutputPath, JobsThatShareOneNeedWhatTellsThemApart) {
  for (const std::string good : {"{id}", "o/{line}", "{attempt}{id}"})
    EXPECT_TRUE(differs_by_job(good)) << good;
  for (const std::string bad : {"o", "{attempt}", "{{id}"}) EXPECT_FALSE(differs_by_job(bad)) << bad;
}

TEST(OutputPath, OnlyAbsoluteOnesAreFoundFromAnywhere) {
  for (const std::string good : {"/a", "/", "/a b/\xff"}) EXPECT_TRUE(is_absolute_path(good)) << good;
  for (const std::string& bad : {std::string(), std::string("a/b"), std::string("/a\0b", 4)})
    EXPECT_FALSE(is_absolute_path(bad)) << bad;
}

}  // namespace
}  // namespace workpool
