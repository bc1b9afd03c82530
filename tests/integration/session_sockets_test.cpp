// SPDX-License-Identifier: MIT
// Lane and sink of a session over real sockets.
#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/integration/sockets_fixture.h"

namespace workpool {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

class SessionSockets : public testing::Test {
 protected:
  void turn() {
    dispatcher.turn();
    worker.turn();
  }
  bool until(const std::function<bool()>& done, Duration limit = seconds(40)) {
    return wait_until(
        done, [this] { turn(); }, limit);
  }
  bool connect(SessionId session = {9}) {
    worker.open(dispatcher.open(session));
    worker.send(Held{});
    return until([&] {
      return !dispatcher.all<dispatcher::LaneWritable>().empty() &&
             !dispatcher.all<dispatcher::SinkReceived>().empty();
    });
  }

  DispatcherEnd dispatcher;
  zmq::context_t context = make_context(64);
  WorkerEnd worker{context};
};

TEST_F(SessionSockets, FramesGoBothWaysInOrder) {
  ASSERT_TRUE(connect());
  EXPECT_TRUE(worker.send(Ready{true}));
  JobOrder order;
  order.id = "a";
  order.attempt = 1;
  order.work = R"({"cmd":["true"]})";
  EXPECT_TRUE(dispatcher.transport.send({9}, Jobs{1, 2, {order}}));
  EXPECT_TRUE(dispatcher.transport.send({9}, LaneBeat{5, 1, 2}));
  ASSERT_TRUE(until(
      [&] { return worker.lane().size() == 2 && dispatcher.all<dispatcher::SinkReceived>().size() == 2; }));
  const auto lane = worker.lane();
  EXPECT_EQ(lane[0].header.run, kRun);
  EXPECT_EQ(lane[0].header.session, SessionId{9});
  EXPECT_EQ(lane[0].header.seq, 1U);
  EXPECT_EQ(std::get<Jobs>(lane[0].message).jobs.at(0).work, order.work);
  EXPECT_EQ(lane[1].header.seq, 2U);
  EXPECT_EQ(std::get<LaneBeat>(lane[1].message).stamp, 5U);
  const auto sink = dispatcher.all<dispatcher::SinkReceived>();
  EXPECT_TRUE(std::holds_alternative<Held>(sink[0].message));
  EXPECT_EQ(sink[1].header.seq, 2U);
  EXPECT_TRUE(std::get<Ready>(sink[1].message).accepting);
}

TEST_F(SessionSockets, WhatIsSentBeforeTheLaneIsThereWaits) {
  const Welcome welcome = dispatcher.open({9});
  JobOrder large;
  large.attempt = 1;
  large.work = std::string(300'000, 'w');
  EXPECT_TRUE(dispatcher.transport.send({9}, LaneBeat{1, 0, 0}));
  EXPECT_TRUE(dispatcher.transport.send({9}, Jobs{0, 0, {large}}));
  EXPECT_TRUE(dispatcher.transport.send({9}, LaneBeat{2, 0, 0}));
  worker.open(welcome);
  ASSERT_TRUE(until([&] { return worker.lane().size() == 3; }));
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(worker.lane()[i].header.seq, i + 1);
}

TEST_F(SessionSockets, LongMessagesTravelInParts) {
  ASSERT_TRUE(connect());
  JobOrder order;
  order.attempt = 1;
  order.work = std::string(1 << 20, 'w');
  EXPECT_TRUE(dispatcher.transport.send({9}, Jobs{0, 0, {order}}));
  JobResult result;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.command->standard_output = std::string(1 << 20, '\0');
  EXPECT_TRUE(worker.send(Results{{result}}));
  EXPECT_TRUE(worker.send(Ready{}));
  ASSERT_TRUE(until(
      [&] { return worker.lane().size() == 1 && dispatcher.all<dispatcher::SinkReceived>().size() == 3; }));
  EXPECT_EQ(std::get<Jobs>(worker.lane()[0].message).jobs.at(0).work, order.work);
  const auto sink = dispatcher.all<dispatcher::SinkReceived>();
  EXPECT_EQ(std::get<Results>(sink[1].message).results.at(0).outcome.command->standard_output,
            result.outcome.command->standard_output);
  EXPECT_EQ(sink[1].header.seq, 2U);
  // Each part is a sign of life.
  EXPECT_EQ(dispatcher.all<dispatcher::PartReceived>().size(), 17U);
  EXPECT_EQ(std::count_if(worker.events.begin(), worker.events.end(),
                          [](const auto& event) { return std::holds_alternative<worker::LanePart>(event); }),
            17);
}

TEST_F(SessionSockets, AWorkerThatGoesIsNoticed) {
  ASSERT_TRUE(connect());
  EXPECT_TRUE(dispatcher.all<dispatcher::LaneGone>().empty());
  worker.transport.close();
  const Time start = boot_time();
  ASSERT_TRUE(until([&] { return !dispatcher.all<dispatcher::LaneGone>().empty(); }));
  EXPECT_LT(boot_time() - start, seconds(4)) << "lanes are asked every 250 ms";
  EXPECT_EQ(dispatcher.all<dispatcher::LaneGone>()[0].session, SessionId{9});
  turn();
  EXPECT_EQ(dispatcher.all<dispatcher::LaneGone>().size(), 1U) << "told once";
  EXPECT_TRUE(dispatcher.transport.send({9}, Stop{})) << "and nothing more is said about it";
}

TEST_F(SessionSockets, ADispatcherThatGoesIsNoticed) {
  auto other = std::make_unique<DispatcherEnd>();
  worker.open(other->open({9}));
  worker.send(Held{});
  ASSERT_TRUE(wait_until([&] { return !other->all<dispatcher::SinkReceived>().empty(); },
                         [&] {
                           other->turn();
                           worker.turn();
                         }));
  EXPECT_FALSE(worker.sink_gone());
  other.reset();
  EXPECT_TRUE(wait_until([&] { return worker.sink_gone(); }, [&] { worker.turn(); }));
}

TEST_F(SessionSockets, ASinkThatNeverConnectsIsGoneAfterAWhile) {
  Welcome welcome = dispatcher.open({9});
  {
    DispatcherEnd gone;
    welcome.sink_port = gone.sink_port();
  }
  worker.open(welcome);
  EXPECT_TRUE(worker.send(Held{})) << "it waits";
  EXPECT_FALSE(worker.transport.tend(boot_time() + seconds(6)));
}

TEST_F(SessionSockets, AWelcomeThatCannotBeDialledEndsTheSessionOnly) {
  Welcome welcome = dispatcher.open({9});
  worker.open(welcome, "no literal address at all");
  EXPECT_TRUE(until([&] { return worker.sink_gone(); }, seconds(8)));
}

TEST_F(SessionSockets, AClosedLaneSaysEndFirst) {
  ASSERT_TRUE(connect());
  for (int i = 0; i < 100; ++i) dispatcher.transport.send({9}, LaneBeat{1, 0, 0});
  dispatcher.transport.send({9}, End{});
  dispatcher.transport.close_lane({9}, boot_time(), seconds(2));
  ASSERT_TRUE(until([&] { return worker.lane().size() == 101; }));
  EXPECT_TRUE(std::holds_alternative<End>(worker.lane().back().message));
}

TEST_F(SessionSockets, ALaneThatIsClosedBeforeItWasThereKeepsItsEnd) {
  const Welcome welcome = dispatcher.open({9});
  dispatcher.transport.send({9}, End{});
  dispatcher.transport.close_lane({9}, boot_time(), seconds(10));
  dispatcher.turn();
  worker.open(welcome);
  ASSERT_TRUE(until([&] { return worker.lane().size() == 1; }));
  EXPECT_TRUE(dispatcher.all<dispatcher::LaneWritable>().empty()) << "its session is over";
  worker.transport.close();
  EXPECT_TRUE(until([&] { return dispatcher.transport.new_lanes() == 0; }));
}

TEST_F(SessionSockets, PatienceHasAnEnd) {
  dispatcher.open({9});
  dispatcher.transport.send({9}, End{});
  dispatcher.transport.close_lane({9}, boot_time(), milliseconds(50));
  EXPECT_EQ(dispatcher.transport.new_lanes(), 1U);
  EXPECT_TRUE(until([&] { return dispatcher.transport.new_lanes() == 0; })) << "nobody came";
}

TEST_F(SessionSockets, ForeignBytesEndNothingOfOthers) {
  ASSERT_TRUE(connect());
  zmq::socket_t stranger = make_dialling_socket(context, zmq::socket_type::push);
  stranger.connect(endpoint("127.0.0.1", dispatcher.sink_port()));
  const std::uint64_t before = dispatcher.transport.refused_frames();
  ASSERT_TRUE(until([&] { return writable(stranger); }));
  for (std::size_t i = 0; i < 500; ++i)
    ASSERT_TRUE(send_frame(stranger, std::string(1 + i % 300, static_cast<char>(0xdd - i))));
  ASSERT_TRUE(until([&] { return dispatcher.transport.refused_frames() == before + 500; }));
  // Nobody of ours sends a message of two frames: it costs the stranger its connection.
  ASSERT_TRUE(send_frame(stranger, "one", true));
  ASSERT_TRUE(send_frame(stranger, "two"));
  ASSERT_TRUE(until([&] { return dispatcher.transport.refused_frames() == before + 501; }));
  EXPECT_TRUE(worker.send(Ready{}));
  EXPECT_TRUE(until([&] { return dispatcher.all<dispatcher::SinkReceived>().size() == 2; }));
}

// A part that holds a message of another session or number is nobody's.
TEST_F(SessionSockets, PartsHoldTheirOwnMessageOnly) {
  ASSERT_TRUE(connect());
  zmq::socket_t stranger = make_dialling_socket(context, zmq::socket_type::push);
  stranger.connect(endpoint("127.0.0.1", dispatcher.sink_port()));
  ASSERT_TRUE(until([&] { return writable(stranger); }));
  JobResult result;
  result.outcome.command.emplace();
  result.outcome.command->standard_output = std::string(100'000, 'x');
  std::string inner;
  encode(Header{kRun, {10}, 2}, SinkMessage{Results{{result}}}, inner);
  const std::uint64_t before = dispatcher.transport.refused_frames();
  for (const std::string& frame : frames_of(Header{kRun, {9}, 2}, std::move(inner)))
    send_frame(stranger, frame);
  EXPECT_TRUE(until([&] { return dispatcher.transport.refused_frames() > before; }));
  EXPECT_EQ(dispatcher.all<dispatcher::SinkReceived>().size(), 1U);
}

// A stranger who never stops sending must neither fill the memory nor keep others from being heard.
TEST_F(SessionSockets, FramesOfAnotherRunAreDroppedAndATurnIsBounded) {
  ASSERT_TRUE(connect());
  dispatcher.transport.accept_only(kRun);
  zmq::socket_t stranger = make_dialling_socket(context, zmq::socket_type::push);
  stranger.connect(endpoint("127.0.0.1", dispatcher.sink_port()));
  ASSERT_TRUE(until([&] { return writable(stranger); }));
  JobResult result;
  result.attempt = 1;  // it would decode
  result.outcome.command.emplace().standard_output = std::string(60'000, 'x');
  std::string foreign;
  encode(Header{{kRun.value + 1}, {10}, 2}, SinkMessage{Results{{result}}}, foreign);
  for (int i = 0; i < 200; ++i) send_frame(stranger, foreign);
  std::vector<dispatcher::Event> events;
  // All of them have come once a turn of ten frames' bytes is full.
  EXPECT_TRUE(
      wait_until([&] { return !dispatcher.transport.receive_sinks(1000, 10 * foreign.size(), events); }));
  EXPECT_TRUE(worker.send(Ready{}));
  EXPECT_TRUE(wait_until([&] {
    dispatcher.transport.receive_sinks(1000, 10 * foreign.size(), events);
    return events.size() == 1;
  }));
  EXPECT_EQ(std::get<dispatcher::SinkReceived>(events.at(0)).header.session, SessionId{9});
}

TEST_F(SessionSockets, ASessionThatWeNeverGaveOutIsHeardForItsResultsOnly) {
  ASSERT_TRUE(connect());
  dispatcher.transport.accept_only(kRun);
  zmq::socket_t stranger = make_dialling_socket(context, zmq::socket_type::push);
  stranger.connect(endpoint("127.0.0.1", dispatcher.sink_port()));
  ASSERT_TRUE(until([&] { return writable(stranger); }));
  const std::size_t before = dispatcher.all<dispatcher::SinkReceived>().size();
  std::string frame;
  encode(Header{kRun, {10}, 2}, SinkMessage{Held{}}, frame);
  send_frame(stranger, frame);
  JobResult result;
  result.attempt = 1;
  encode(Header{kRun, {10}, 3}, SinkMessage{Results{{result}}}, frame);
  send_frame(stranger, frame);
  ASSERT_TRUE(until([&] { return dispatcher.all<dispatcher::SinkReceived>().size() > before; }));
  EXPECT_TRUE(std::holds_alternative<Results>(dispatcher.all<dispatcher::SinkReceived>().back().message));
}

TEST(SinkParts, HaveOneBudgetAndMustSaySomething) {
  auto options = on("127.0.0.1");
  options.parts_bytes_most = 100'000;
  DispatcherEnd dispatcher(options);
  zmq::context_t context = make_context(16);
  for (const std::uint64_t session : {1, 2, 3}) dispatcher.open({session});
  zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::push);
  socket.connect(endpoint("127.0.0.1", dispatcher.sink_port()));
  const auto turn = [&] { dispatcher.turn(); };
  ASSERT_TRUE(wait_until([&] { return writable(socket); }, turn));
  const auto parts = [&] { return dispatcher.all<dispatcher::PartReceived>().size(); };
  const auto send_part = [&](std::uint64_t session, std::size_t bytes) {
    send_frame(socket, frames_of(Header{kRun, {session}, 1}, std::string(bytes + 1, 'x'), bytes).front());
  };
  send_part(1, kPartBytesMost);
  send_part(2, kPartBytesMost);  // over the budget
  send_part(3, 100);             // too little to live on
  EXPECT_TRUE(wait_until([&] { return dispatcher.transport.refused_frames() == 2; }, turn));
  EXPECT_EQ(parts(), 1U);
  dispatcher.transport.close_lane({1}, boot_time(), Duration{0});
  send_part(2, kPartBytesMost);
  EXPECT_TRUE(wait_until([&] { return parts() == 2; }, turn)) << "its bytes are free again";
}

TEST_F(SessionSockets, ForeignBytesOnTheLaneEndItsSession) {
  zmq::socket_t lane(context, zmq::socket_type::push);
  lane.bind("tcp://127.0.0.1:*");
  Welcome welcome = dispatcher.open({9});
  const std::string bound = lane.get(zmq::sockopt::last_endpoint);
  welcome.lane_port = static_cast<std::uint16_t>(std::atoi(bound.c_str() + bound.rfind(':') + 1));
  worker.open(welcome);
  ASSERT_TRUE(until([&] { return writable(lane); }));
  send_frame(lane, "no frame");
  EXPECT_TRUE(until([&] { return worker.sink_gone(); }));
}

TEST(LanePorts, OfARangeAreCycledAndExhausted) {
  // Registration of a first transport finds a free place for a range.
  std::uint16_t low = 0;
  {
    DispatcherEnd probe;
    low = static_cast<std::uint16_t>(probe.port() > 60000 ? probe.port() - 8 : probe.port() + 1);
  }
  const auto high = static_cast<std::uint16_t>(low + 3);
  DispatcherEnd dispatcher(on("127.0.0.1", low, high));
  std::vector<std::uint16_t> ports{dispatcher.sink_port()};
  for (std::uint64_t session = 1; session < 10; ++session) {
    const auto port = dispatcher.lane({session});
    if (!port) break;
    ports.push_back(*port);
  }
  ASSERT_GE(ports.size(), 3U) << "most of the range is free";
  ASSERT_LE(ports.size(), 4U);
  for (const std::uint16_t port : ports) EXPECT_TRUE(port >= low && port <= high) << port;
  std::sort(ports.begin(), ports.end());
  EXPECT_EQ(std::unique(ports.begin(), ports.end()), ports.end());
  EXPECT_FALSE(dispatcher.lane({50})) << "none is left";
  dispatcher.transport.close_lane({1}, boot_time(), Duration{0});
  EXPECT_TRUE(wait_until([&] { return dispatcher.lane({51}).has_value(); }));
  try {
    DispatcherEnd second(on("127.0.0.1", low, high));
    ADD_FAILURE() << "all ports are taken";
  } catch (const dispatcher::BindError& error) {
    EXPECT_NE(error.message.find(std::to_string(low) + "-" + std::to_string(high)), std::string::npos)
        << error.message;
  }
}

TEST(LanePorts, ThatWasJustLeftRestsLongest) {
  std::uint16_t low = 0;
  {
    DispatcherEnd probe;
    low = static_cast<std::uint16_t>(probe.port() > 60000 ? probe.port() - 12 : probe.port() + 1);
  }
  DispatcherEnd dispatcher(on("127.0.0.1", low, static_cast<std::uint16_t>(low + 9)));
  const auto first = dispatcher.lane({1});
  dispatcher.transport.close_lane({1}, boot_time(), Duration{0});
  const auto second = dispatcher.lane({2});
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
}

TEST(LaneDescriptors, AreGivenBack) {
  DispatcherEnd dispatcher;
  zmq::context_t context = make_context(64);
  const auto cycle = [&](std::uint64_t session) {
    WorkerEnd worker(context);
    worker.open(dispatcher.open({session}));
    worker.send(Held{});
    const auto before = dispatcher.all<dispatcher::SinkReceived>().size();
    EXPECT_TRUE(wait_until([&] { return dispatcher.all<dispatcher::SinkReceived>().size() > before; },
                           [&] {
                             dispatcher.turn();
                             worker.turn();
                           }));
    worker.transport.close();
    dispatcher.transport.close_lane({session}, boot_time(), Duration{0});
  };
  for (std::uint64_t session = 1; session <= 20; ++session) cycle(session);
  const std::size_t before = open_descriptors();
  for (std::uint64_t session = 21; session <= 220; ++session) {
    cycle(session);
    dispatcher.events.clear();
  }
  // Closing is libzmq's own business and takes a moment.
  EXPECT_TRUE(wait_until([&] { return open_descriptors() <= before + 20; }))
      << open_descriptors() << " after " << before;
}

// Whoever registers and never dials its lane leaves a bounded amount behind, and that goes with it.
TEST(UndialledLanes, WhatWaitsForLanesThatAreNeverDialledIsBounded) {
  dispatcher::TransportOptions options = on("127.0.0.1");
  options.waiting_bytes_most = 1 << 20;
  DispatcherEnd dispatcher(options);
  Cancel cancel;
  cancel.jobs.resize(1000);
  for (JobRef& ref : cancel.jobs) ref.attempt = 1;
  dispatcher.open({1});
  int taken = 0;
  while (dispatcher.transport.send({1}, cancel)) ASSERT_LT(++taken, 1000);
  EXPECT_GT(taken, 20) << "of 30 KB each";
  EXPECT_LT(taken, 60);
  dispatcher.open({2});
  EXPECT_FALSE(dispatcher.transport.send({2}, cancel)) << "all such lanes together";
  dispatcher.transport.close_lane({1}, boot_time(), Duration{0});
  dispatcher.open({3});
  EXPECT_TRUE(dispatcher.transport.send({3}, cancel));
}

}  // namespace
}  // namespace workpool
