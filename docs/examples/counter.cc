// SPDX-License-Identifier: Apache-2.0
//
// A counter for the whole cluster: run it on as many nodes, as often at once as you like.
//
//   counter 7 add 5     adds to counter 7 and prints it
//   counter 7 follow    prints it at each change, until it is 0
#include <clustix/sets.h>

#include <charconv>
#include <cstdio>
#include <cstring>

using namespace clustix;

int Fail(const char* what, const char* why) {
  std::fprintf(stderr, "counter: %s: %s\n", what, why);
  return 1;
}

int Print(const Value<int64_t>& count) {
  if (!count) return Fail("no counter", SetOutcomeName(count.outcome));
  std::printf("%lld\n", static_cast<long long>(*count));
  std::fflush(stdout);
  return 0;
}

template <typename Number>
bool Parse(const char* text, Number* number) {
  const char* end = text + std::strlen(text);
  return text != end && std::from_chars(text, end, *number).ptr == end;
}

int main(int argc, char** argv) {
  ObjectId id;
  int64_t more;
  const bool add = argc == 4 && std::strcmp(argv[2], "add") == 0 && Parse(argv[3], &more);
  const bool follow = argc == 3 && std::strcmp(argv[2], "follow") == 0;
  if (!(add || follow) || !Parse(argv[1], &id)) {
    return Fail("usage", "counter NUMBER add N | counter NUMBER follow");
  }
  Result<Client> client = Client::Connect();
  if (!client) return Fail("no session", client.error().message.c_str());
  Result<ObjectSet> set = client->OpenSet("example/counters", {.create = true});
  if (!set) return Fail("no set", set.error().message.c_str());
  const TypedSet<int64_t> counters(*set);
  if (add) {
    return Print(counters.Update(id, [more](int64_t& count) { count += more; }));
  }
  Result<Watcher> watcher = set->Watch(id, id);
  if (!watcher) return Fail("no watch", watcher.error().message.c_str());
  Value<int64_t> count = counters.Touch(id, 0);
  for (WatchEvent event; Print(count) == 0 && watcher->Next(&event) == SetOutcome::kOk;) {
    count = counters.Get(id);
    if (count && *count == 0) return Print(count);
  }
  return 1;
}
