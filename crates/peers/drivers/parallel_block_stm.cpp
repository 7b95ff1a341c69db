// Runs blocks of transfers through neo1202/parallel-block-stm, a Block-STM in C++, for
// `athanor-peers -- fastpath`, which sends the work and checks the results. That project has headers
// only and is not part of this repository. Build this file with a checkout of it:
//
//     g++ -std=c++20 -O3 -march=native -DNDEBUG -pthread -I CHECKOUT/src \
//         crates/peers/drivers/parallel_block_stm.cpp -o parallel_block_stm
//
// Requests are lines on standard input:
//     state ACCOUNTS BALANCE                  resets the state; no reply
//     block THREADS TURNS COUNT FROM TO ...   COUNT transfers of one unit
// Reply for a block: wall-clock ns, CPU ns, executions, suspensions, ns of a sequential loop over the
// same block and map, and a digest of all balances.
//
// What is timed is favourable to the peer: its memory, scheduler, threads and workers as its own
// `parallel_execute` makes them, and writing the result into the state; but not that function's two
// copies of the whole state, and neither receipts nor a list of changes, which it does not have.

#include "blockstm.h"

#include <chrono>
#include <ctime>
#include <iostream>
#include <string>

namespace {

using State = std::unordered_map<Key, Value>;

uint64_t wall_ns() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

uint64_t cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return uint64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// The arithmetic of the other side, turn by turn.
uint64_t burn(uint32_t turns, uint64_t seed) {
    uint64_t x = seed | 1;
    for (uint32_t i = 0; i < turns; ++i) {
        x = x * 0x2545f4914f6cdd1dULL ^ (x >> 29);
    }
    return x;
}

Transaction transfer(Key from, Key to, uint32_t turns) {
    Transaction transaction;
    transaction.read_keys = {from, to};
    transaction.write_keys = {from, to};
    transaction.logic = [from, to, turns](ExecutionContext& context) {
        Value x = context.read(from), y = context.read(to);
        volatile uint64_t output = burn(turns, x ^ y);
        (void)output;
        context.write(from, x - 1);
        context.write(to, y + 1);
    };
    return transaction;
}

struct Run {
    uint64_t wall, cpu, executions, suspensions;
};

Run in_parallel(const std::vector<Transaction>& block, State& state, int count) {
    uint64_t wall = wall_ns(), cpu = cpu_ns();
    std::vector<ExecStats> stats(count);
    {
        MVMemory memory(block.size(), state);
        Scheduler scheduler(block.size());
        std::vector<std::thread> threads;
        for (int i = 0; i < count; ++i) {
            threads.emplace_back([&, slot = &stats[i]] {
                Executor(scheduler, memory, block, state, slot).run();
            });
        }
        for (auto& thread : threads) thread.join();
        for (const auto& [key, value] : memory.snapshot()) state[key] = value;
    }
    Run run{wall_ns() - wall, cpu_ns() - cpu, 0, 0};
    for (const auto& stat : stats) {
        run.executions += stat.total_executions;
        run.suspensions += stat.dependency_suspends;
    }
    return run;
}

struct Plain final : ExecutionContext {
    State& state;
    explicit Plain(State& state) : state(state) {}
    Value read(Key key) override { return state[key]; }
    void write(Key key, Value value) override { state[key] = value; }
};

uint64_t in_order(const std::vector<Transaction>& block, State& state) {
    uint64_t start = wall_ns();
    Plain context(state);
    for (const auto& transaction : block) transaction.logic(context);
    return wall_ns() - start;
}

}  // namespace

int main() {
    std::ios::sync_with_stdio(false);
    State state;
    std::string command;
    while (std::cin >> command) {
        if (command == "state") {
            size_t accounts = 0;
            Value balance = 0;
            std::cin >> accounts >> balance;
            state.clear();
            for (Key key = 0; key < accounts; ++key) state[key] = balance;
        } else if (command == "block") {
            int threads = 1;
            uint32_t turns = 0;
            size_t count = 0;
            std::cin >> threads >> turns >> count;
            std::vector<Transaction> block;
            block.reserve(count);
            for (size_t i = 0; i < count; ++i) {
                Key from = 0, to = 0;
                std::cin >> from >> to;
                block.push_back(transfer(from, to, turns));
            }
            State plain = state;
            uint64_t in_order_ns = in_order(block, plain);
            Run run = in_parallel(block, state, threads);
            uint64_t digest = 0;
            for (Key key = 0; key < state.size(); ++key) digest = digest * 31 + state[key];
            std::cout << run.wall << ' ' << run.cpu << ' ' << run.executions << ' '
                      << run.suspensions << ' ' << in_order_ns << ' ' << digest << std::endl;
        } else {
            std::cerr << "unknown request: " << command << '\n';
            return 1;
        }
    }
}
