// SPDX-License-Identifier: MIT
// A handler that does not work here is not offered any more.
#include "tests/unit/worker/session_fixture.h"

namespace workpool::worker {
namespace {

class SessionHandlersTest : public SessionFixture {
 protected:
  SessionHandlersTest() { options_.handlers = {"embed", "noop"}; }

  // What the next HELLO offers.
  std::vector<std::string> offered(Event&& event) {
    Actions actions;
    session().step(std::move(event), now_, actions);
    std::vector<std::string> types;
    for (Action& action : actions) {
      if (auto* hello = std::get_if<Register>(&action)) types = hello->hello.handlers;
      if (std::holds_alternative<CloseSession>(action)) closed_ = true;
      take(action);
    }
    return types;
  }
  bool closed_ = false;
};

TEST_F(SessionHandlersTest, ItRegistersAnewWithoutIt) {
  start();
  run_a_job(R"({"type":"noop"})");
  EXPECT_EQ(offered(HandlerStopped{"embed", "exited"}), std::vector<std::string>{"noop"});
  EXPECT_TRUE(closed_);
  held_ = 0;
  answer(Answer::kWelcome);
  EXPECT_EQ(sessions_, 2U);
  EXPECT_EQ(held_, 1U);  // what runs goes on
}

TEST_F(SessionHandlersTest, AHelloUnderWayIsReplaced) {
  start();
  const auto first = asked_;
  EXPECT_EQ(offered(HandlerStopped{"embed", "exited"}), std::vector<std::string>{"noop"});
  EXPECT_NE(asked_, first);
  EXPECT_FALSE(closed_);
}

TEST_F(SessionHandlersTest, OneThatIsNotOfferedChangesNothing) {
  start();
  answer(Answer::kWelcome);
  EXPECT_TRUE(offered(HandlerStopped{"other", "exited"}).empty());
  EXPECT_FALSE(closed_);
  EXPECT_TRUE(session().active());
}

}  // namespace
}  // namespace workpool::worker
