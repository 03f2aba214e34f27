// SPDX-License-Identifier: Apache-2.0
//
// `clustix completion`: the completion script for bash, made from the very table of commands and
// options that parses the command line. Not for people, hence not in the help: packages install
// what it prints.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "daemon/command/command.h"

namespace clustix::command {
namespace {

// What the parts of the script are filled with, one line of a `case` per entry.
struct Script {
  std::vector<std::string> paths;   // "bench msg": what leads from one command to the next
  std::vector<std::string> offers;  // what may follow a command
  std::vector<std::string> values;  // what may follow an option
  std::vector<std::string> ends;    // commands that take a program of the user's
};

constexpr char kTemplate[] =
    R"(# Bash completion for clustix; made by `clustix completion`.
_clustix() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command= commands= options= index word
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; ++index)); do
        word=${COMP_WORDS[index]}
        if [[ $word == -- ]]; then
            case $command in
            @ENDS@) _command_offset $((index + 1)) 2>/dev/null ;;
            esac
            return
        fi
        case "$command/$word" in
@PATHS@
        esac
    done
    case "$command $previous" in
@VALUES@
    esac
    case $command in
@OFFERS@
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
    elif [[ -n $commands ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$current"))
    else
        compopt -o default
    fi
}
complete -F _clustix clustix
)";

bool IsShown(const std::string& group) { return !group.empty(); }

std::vector<CLI::Option*> ShownOptions(CLI::App& app) {
  return app.get_options([](const CLI::Option* option) {
    return IsShown(option->get_group()) && option->nonpositional();
  });
}

bool IsFlag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

// "--node", "-h": as they are typed.
std::vector<std::string> Spellings(const CLI::Option& option) {
  std::vector<std::string> spellings;
  for (const std::string& name : option.get_lnames()) spellings.push_back("--" + name);
  for (const std::string& name : option.get_snames()) spellings.push_back("-" + name);
  return spellings;
}

// What may be said of the program as well as of any command: not what ends it at once.
std::vector<std::string> InheritedOptions(CLI::App& root) {
  std::vector<std::string> inherited;
  for (CLI::Option* option : ShownOptions(root)) {
    if (IsFlag(*option)) continue;
    const std::vector<std::string> spellings = Spellings(*option);
    inherited.insert(inherited.end(), spellings.begin(), spellings.end());
  }
  return inherited;
}

// The bash words that complete the option's value; `return` alone where only the user can know it.
std::string ValueCompletion(const CLI::Option& option) {
  const std::string type =
      option.get_type_name();  // "DIR", "LEVEL:{debug,info}", "N:INT in [1 - 32]"
  const size_t open = type.find('{'), close = type.find('}');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    const std::string words =
        absl::StrReplaceAll(type.substr(open + 1, close - open - 1), {{",", " "}});
    return absl::StrCat("COMPREPLY=($(compgen -W \"", words, "\" -- \"$current\")); return");
  }
  if (type == "DIR") return "compopt -o dirnames; return";
  if (type == "FILE" || type == "PATH") return "compopt -o default; return";
  return "return";
}

// Adds `app` and the commands below it. `path` is how it is called, without the program's name.
void AddCommand(CLI::App& app, const std::string& path, const std::vector<std::string>& inherited,
                Script& script) {
  std::vector<std::string> options = inherited, commands;
  for (CLI::Option* option : ShownOptions(app)) {
    const std::vector<std::string> spellings = Spellings(*option);
    options.insert(options.end(), spellings.begin(), spellings.end());
    if (IsFlag(*option)) continue;
    std::vector<std::string> patterns;
    for (const std::string& spelling : spellings) {
      // The root's options may stand after any command.
      patterns.push_back(path.empty() ? absl::StrCat("*\" ", spelling, "\"")
                                      : absl::StrCat("\"", path, " ", spelling, "\""));
    }
    script.values.push_back(absl::StrCat("    ", absl::StrJoin(patterns, " | "), ") ",
                                         ValueCompletion(*option), " ;;"));
  }
  for (CLI::App* command : app.get_subcommands({})) {
    if (!IsShown(command->get_group())) continue;
    const std::string& name = command->get_name();
    const std::string below = path.empty() ? name : absl::StrCat(path, " ", name);
    commands.push_back(name);
    script.paths.push_back(
        absl::StrCat("        \"", path, "/", name, "\") command=\"", below, "\" ;;"));
    AddCommand(*command, below, path.empty() ? InheritedOptions(app) : inherited, script);
  }
  script.offers.push_back(absl::StrCat("    \"", path, "\") commands=\"",
                                       absl::StrJoin(commands, " "), "\" options=\"",
                                       absl::StrJoin(options, " "), "\" ;;"));
  if (path.empty()) return;
  if (app.get_option_no_throw("program") != nullptr)
    script.ends.push_back(absl::StrCat("\"", path, "\""));
}

std::string BashCompletion(CLI::App& root) {
  Script script;
  AddCommand(root, "", {}, script);
  return absl::StrReplaceAll(kTemplate, {{"@PATHS@", absl::StrJoin(script.paths, "\n")},
                                         {"@OFFERS@", absl::StrJoin(script.offers, "\n")},
                                         {"@VALUES@", absl::StrJoin(script.values, "\n")},
                                         {"@ENDS@", absl::StrJoin(script.ends, " | ")}});
}

}  // namespace

void AddCompletionCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("completion", "Print the completion script for bash; used by packages");
  command->group("");  // hidden
  command->callback([&app, &context] {
    context.run = [&app] {
      std::fputs(BashCompletion(app).c_str(), stdout);
      return kExitOk;
    };
  });
}

}  // namespace clustix::command
