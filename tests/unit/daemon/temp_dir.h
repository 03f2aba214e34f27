// SPDX-License-Identifier: Apache-2.0
//
// A folder of its own for one test, gone afterwards.
#ifndef CLUSTIX_TESTS_UNIT_DAEMON_TEMP_DIR_H_
#define CLUSTIX_TESTS_UNIT_DAEMON_TEMP_DIR_H_

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace clustix {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "clustix-test.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  std::string Write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(File(name), std::ios::binary) << text;
    std::filesystem::permissions(File(name), std::filesystem::perms(mode));
    return File(name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string path_;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_DAEMON_TEMP_DIR_H_
