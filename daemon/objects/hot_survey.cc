// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/hot_survey.h"

#include <endian.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "lib/base/time_units.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {
namespace {

constexpr size_t kWordsOfObject = 6;

void Add64(std::vector<uint32_t>* words, uint64_t value) {
  words->push_back(htole32(static_cast<uint32_t>(value)));
  words->push_back(htole32(static_cast<uint32_t>(value >> 32)));
}

uint64_t Take64(const uint32_t* words) {
  return uint64_t{le32toh(words[1])} << 32 | le32toh(words[0]);
}

}  // namespace

void HotSurvey::Ask(Done done) {
  const uint32_t question = ++last_question_;
  Survey& survey = surveys_[question];
  survey = {.found = OwnHottest(), .missing = 0, .done = std::move(done)};
  const uint32_t word = htole32(question);
  survey.missing =
      driver_.TellMembers(msg::kPortObjectHot, std::as_bytes(std::span(&word, size_t{1})));
  if (survey.missing == 0) return Finish(question);
  loop_.RunAt(loop_.Now() + kPatienceMs * kNsPerMs, [this, question, alive = alive_] {
    if (*alive) Finish(question);
  });
}

std::vector<HotSurvey::Hot> HotSurvey::OwnHottest() const {
  std::vector<Hot> hottest;
  for (const Contention::Hot& hot : driver_.contention().Hottest(loop_.Now())) {
    hottest.push_back(
        {.key = hot.key,
         .home = driver_.engine().self(),
         .transfers_per_second = hot.transfers_per_second,
         .waiting = static_cast<uint32_t>(driver_.engine().home().WaitingFor(hot.key))});
  }
  std::sort(hottest.begin(), hottest.end(), [](const Hot& a, const Hot& b) {
    return a.transfers_per_second > b.transfers_per_second;
  });
  if (hottest.size() > kObjectsMax) hottest.resize(kObjectsMax);
  return hottest;
}

void HotSurvey::OnMessage(NodeId from, Bytes bytes) {
  std::vector<uint32_t> words(bytes.size() / sizeof(uint32_t));
  if (words.empty() || bytes.size() % sizeof(uint32_t) != 0) return;
  std::memcpy(words.data(), bytes.data(), bytes.size());
  if (words.size() == 1) {
    // An answer without an object would be as short as a question: so it has a word more.
    std::vector<uint32_t> answer = {words[0], 0};
    for (const Hot& hot : OwnHottest()) {
      Add64(&answer, hot.key.object);
      answer.push_back(htole32(hot.key.set));
      answer.push_back(htole32(hot.waiting));
      Add64(&answer, static_cast<uint64_t>(std::llround(hot.transfers_per_second * 1000)));
    }
    return driver_.Tell(from, msg::kPortObjectHot, std::as_bytes(std::span(answer)));
  }
  const uint32_t question = le32toh(words[0]);
  const auto survey = surveys_.find(question);
  if (survey == surveys_.end() || words.size() % kWordsOfObject != 2) return;
  for (size_t at = 2; at < words.size(); at += kWordsOfObject) {
    survey->second.found.push_back(
        {.key = {.object = Take64(&words[at]), .set = le32toh(words[at + 2])},
         .home = from,
         .transfers_per_second = static_cast<double>(Take64(&words[at + 4])) / 1000,
         .waiting = le32toh(words[at + 3])});
  }
  if (--survey->second.missing == 0) Finish(question);
}

void HotSurvey::Finish(uint32_t question) {
  const auto found = surveys_.find(question);
  if (found == surveys_.end()) return;
  const Survey survey = std::move(found->second);
  surveys_.erase(found);
  survey.done(survey.found);
}

}  // namespace clustix::daemon
