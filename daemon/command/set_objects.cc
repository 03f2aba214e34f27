// SPDX-License-Identifier: Apache-2.0
//
// `clustix set get|put|touch|rm|watch`: single objects.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "daemon/command/set_command.h"

namespace clustix::command {
namespace {

struct ObjectsArguments {
  std::string set, object, value;
  std::vector<std::string> objects;
  bool hex = false, json = false, has_value = false;
  uint64_t timeout_ms = 5000;
  uint64_t count = 0;

  Wait wait() const { return {.timeout_ms = timeout_ms}; }
};

int NoObject(const std::string& text) {
  Fail(absl::StrCat("not an object: ", text, " (a number, or 0x and a number in hex)"));
  return kExitUsage;
}

// Runs `body(set)` on the open set.
template <typename Body>
int OnSet(const Context& context, const std::string& name, bool write, Body body) {
  Result<Client> client = ConnectToSets(context);
  if (!client) return Fail(client.error().message);
  Result<ObjectSet> set = client->OpenSet(name, {.write = write});
  if (!set) return FailOnSet(*client, name, set.error());
  return body(*set);
}

// --- get -------------------------------------------------------------------------------------

void Print(ObjectId object, const ReadGuard& guard, const ObjectsArguments& arguments) {
  const std::span<const std::byte> data = guard.data();
  if (arguments.json) {
    const nlohmann::ordered_json json = {{"object", object},
                                         {"version", guard.version()},
                                         {"bytes", data.size()},
                                         {"hex", ToHex(data)}};
    std::printf("%s\n", json.dump().c_str());
  } else if (arguments.hex) {
    std::printf("%s\n", ToHex(data).c_str());
  } else {
    std::fwrite(data.data(), 1, data.size(), stdout);
  }
}

int RunGet(const Context& context, const ObjectsArguments& arguments) {
  const std::optional<ObjectId> object = ParseObject(arguments.object);
  if (!object) return NoObject(arguments.object);
  return OnSet(context, arguments.set, false, [&](const ObjectSet& set) {
    const ReadGuard guard = set.Get(*object, arguments.wait());
    if (!guard) return FailOnObject(arguments.set, *object, guard.outcome());
    Print(*object, guard, arguments);
    return kExitOk;
  });
}

// --- put and touch ---------------------------------------------------------------------------

// From the command line, else all of stdin. Nothing: why has been said.
std::optional<std::string> ReadValue(const ObjectsArguments& arguments) {
  std::string value = arguments.value;
  if (!arguments.has_value) {
    char buffer[65536];
    ssize_t count;
    while ((count = read(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        Fail(std::string("cannot read the value from stdin: ") + std::strerror(errno));
        return std::nullopt;
      }
      value.append(buffer, static_cast<size_t>(count));
      // Hex is twice as long, with blanks thrice.
      if (value.size() > 4 * kObjectBytesMax) break;
    }
  }
  if (!arguments.hex) return value;
  std::optional<std::string> bytes = ParseHex(value);
  if (!bytes) Fail("the value is no hex: two digits of 0-9 and a-f for each byte are expected");
  return bytes;
}

int RunWrite(const Context& context, const ObjectsArguments& arguments, bool touch) {
  const std::optional<ObjectId> object = ParseObject(arguments.object);
  if (!object) return NoObject(arguments.object);
  const std::optional<std::string> value = ReadValue(arguments);
  if (!value) return kExitFailed;
  return OnSet(context, arguments.set, true, [&](const ObjectSet& set) {
    const std::span<const std::byte> bytes = std::as_bytes(std::span(value->data(), value->size()));
    const SetOutcome outcome = touch ? set.Touch(*object, bytes, arguments.wait()).outcome()
                                     : set.Set(*object, bytes, arguments.wait());
    if (outcome == SetOutcome::kOk) return kExitOk;
    return FailOnObject(arguments.set, *object, outcome);
  });
}

// --- rm --------------------------------------------------------------------------------------

int RunRemove(const Context& context, const ObjectsArguments& arguments) {
  std::vector<ObjectId> objects;
  for (const std::string& text : arguments.objects) {
    const std::optional<ObjectId> object = ParseObject(text);
    if (!object) return NoObject(text);
    objects.push_back(*object);
  }
  return OnSet(context, arguments.set, true, [&](const ObjectSet& set) {
    int exit_code = kExitOk;
    for (const ObjectId object : objects) {
      const SetOutcome outcome = set.Remove(object, arguments.wait());
      if (outcome != SetOutcome::kOk) exit_code = FailOnObject(arguments.set, object, outcome);
    }
    return exit_code;
  });
}

// --- watch -----------------------------------------------------------------------------------

int RunWatch(const Context& context, const ObjectsArguments& arguments) {
  std::optional<ObjectRange> range = ObjectRange();
  if (!arguments.object.empty()) range = ParseObjectRange(arguments.object);
  if (!range) {
    Fail(absl::StrCat("not a range of objects: ", arguments.object, " (7, or 0x10-0x1f)"));
    return kExitUsage;
  }
  return OnSet(context, arguments.set, false, [&](const ObjectSet& set) {
    Result<Watcher> watcher = set.Watch(range->first, range->last);
    if (!watcher) return Fail(absl::StrCat(arguments.set, ": ", watcher.error().message));
    for (uint64_t seen = 0; arguments.count == 0 || seen < arguments.count; ++seen) {
      WatchEvent event;
      const SetOutcome outcome = watcher->Next(&event);
      if (outcome != SetOutcome::kOk) {
        return Fail(
            absl::StrCat(arguments.set, ": the watch has ended: ", SetOutcomeName(outcome)));
      }
      if (arguments.json) {
        nlohmann::ordered_json json = {{"object", event.object}, {"version", event.version}};
        if (event.any) json = {{"any", true}};
        std::printf("%s\n", json.dump().c_str());
      } else if (event.any) {
        std::printf("any object may have changed\n");
      } else if (event.version == 0) {
        std::printf("%llu removed\n", static_cast<unsigned long long>(event.object));
      } else {
        std::printf("%llu version %llu\n", static_cast<unsigned long long>(event.object),
                    static_cast<unsigned long long>(event.version));
      }
      std::fflush(stdout);
    }
    return kExitOk;
  });
}

// --- The command line ------------------------------------------------------------------------

using Verb = int (*)(const Context&, const ObjectsArguments&);

CLI::App* Add(CLI::App& set, Context& context, const char* name, const char* title,
              const std::shared_ptr<ObjectsArguments>& arguments, Verb run) {
  CLI::App* command = set.add_subcommand(name, title);
  command->add_option("set", arguments->set, "The set's name")->required();
  command->callback([&context, arguments, run] {
    context.run = [&context, arguments, run] { return run(context, *arguments); };
  });
  return command;
}

void AddTimeout(CLI::App* command, ObjectsArguments& arguments) {
  command
      ->add_option("--timeout-ms", arguments.timeout_ms,
                   "How long to wait for the object (default: 5000; 0: for as long as it takes)")
      ->type_name("MS");
}

void AddWriteCommand(CLI::App& set, Context& context, const char* name, const char* title,
                     bool touch) {
  auto arguments = std::make_shared<ObjectsArguments>();
  CLI::App* command =
      touch
          ? Add(set, context, name, title, arguments,
                [](const Context& c, const ObjectsArguments& a) { return RunWrite(c, a, true); })
          : Add(set, context, name, title, arguments,
                [](const Context& c, const ObjectsArguments& a) { return RunWrite(c, a, false); });
  command->add_option("object", arguments->object, "Its number")->required();
  command->add_option_function<std::string>(
      "value",
      [arguments](const std::string& value) {
        arguments->value = value;
        arguments->has_value = true;
      },
      "The value (default: what stdin holds)");
  command->add_flag("--hex", arguments->hex, "The value is written in hex");
  AddTimeout(command, *arguments);
}

}  // namespace

void AddObjectCommands(CLI::App& set, Context& context) {
  auto get_arguments = std::make_shared<ObjectsArguments>();
  CLI::App* get = Add(set, context, "get", "Print an object's value", get_arguments, RunGet);
  get->add_option("object", get_arguments->object, "Its number")->required();
  get->add_flag("--hex", get_arguments->hex, "Print it in hex");
  get->add_flag("--json", get_arguments->json, "Print one object, the value in hex");
  AddTimeout(get, *get_arguments);

  AddWriteCommand(set, context, "put", "Write an object", false);
  AddWriteCommand(set, context, "touch", "Make an object, unless there is one", true);

  auto rm_arguments = std::make_shared<ObjectsArguments>();
  CLI::App* rm = Add(set, context, "rm", "Remove objects", rm_arguments, RunRemove);
  rm->add_option("object", rm_arguments->objects, "Their numbers")->required();
  AddTimeout(rm, *rm_arguments);

  auto watch_arguments = std::make_shared<ObjectsArguments>();
  CLI::App* watch =
      Add(set, context, "watch", "Tell of each change of objects", watch_arguments, RunWatch);
  watch->add_option("object", watch_arguments->object, "One, or FIRST-LAST (default: all)");
  watch->add_flag("--json", watch_arguments->json, "Print an object in each line");
  watch
      ->add_option("--count", watch_arguments->count,
                   "End after so many changes (default: 0, never)")
      ->type_name("N");
}

}  // namespace clustix::command
