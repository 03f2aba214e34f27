// SPDX-License-Identifier: Apache-2.0
//
// Says to the generic netlink family kccm of its network namespace what no program would: commands
// drawn from a seed, some nearly right, with attributes that are missing, double, nested, too long,
// too short or unknown, and lengths that lie. Each must be answered.
//
//   kccm-netlink-fuzz SEED COMMANDS
//
// At the end it prints "accepted A refused R not permitted P". It leaves the namespace as it
// happens to be.
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <iterator>
#include <vector>

#include "include/uapi/kccm.h"
#include "lib/base/prng.h"

namespace clustix::vm {
namespace {

constexpr size_t kLargestAttribute = 4096;

using Bytes = std::vector<uint8_t>;

struct Tally {
  int accepted = 0, refused = 0, not_permitted = 0;
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <typename Value>
Bytes BytesOf(const Value& value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

void AppendAttribute(Bytes& to, uint16_t type, const Bytes& data, size_t lie = 0) {
  const nlattr head = {static_cast<uint16_t>(NLA_HDRLEN + data.size() + lie), type};
  const Bytes head_bytes = BytesOf(head);
  to.insert(to.end(), head_bytes.begin(), head_bytes.end());
  to.insert(to.end(), data.begin(), data.end());
  to.resize(NLA_ALIGN(to.size()));
}

Bytes RandomBytes(base::Prng& prng, size_t most) {
  Bytes bytes(prng.Below(most + 1));
  prng.Fill(bytes.data(), bytes.size());
  return bytes;
}

// What the attribute wants, or nearly.
Bytes Plausible(base::Prng& prng, uint16_t type) {
  switch (type) {
    case KCCM_A_NODE:
      return BytesOf(static_cast<uint16_t>(prng.Below(prng.Chance(3, 4) ? 6 : 520)));
    case KCCM_A_CLUSTER:
      return Bytes(KCCM_CLUSTER_BYTES, 7);
    case KCCM_A_KEY:
      return Bytes(KCCM_KEY_BYTES, 7);
    case KCCM_A_ADDRESS: {
      sockaddr_in6 six = {};
      six.sin6_family = prng.Chance(7, 8) ? AF_INET6 : static_cast<uint16_t>(prng.Next());
      six.sin6_port = htons(static_cast<uint16_t>(4000 + prng.Below(4)));
      six.sin6_addr = in6addr_loopback;
      if (prng.Chance(1, 4)) return BytesOf(six);
      sockaddr_in four = {};
      four.sin_family = AF_INET;
      four.sin_port = six.sin6_port;
      four.sin_addr.s_addr = htonl(prng.Chance(7, 8) ? INADDR_LOOPBACK : prng.Next());
      return BytesOf(four);
    }
    case KCCM_A_PAYLOAD_CRC:
      return {};
    default:
      return BytesOf(static_cast<uint32_t>(prng.Chance(3, 4) ? prng.Below(5000) : prng.Next()));
  }
}

void AppendAttributes(base::Prng& prng, Bytes& to, int depth) {
  for (uint64_t left = prng.Below(8); left > 0; --left) {
    auto type = static_cast<uint16_t>(prng.Below(KCCM_A_MAX + 4));
    if (prng.Chance(1, 32)) type = static_cast<uint16_t>(prng.Next());
    if (depth < 40 && prng.Chance(1, 8)) {
      Bytes nested;
      AppendAttributes(prng, nested, depth + 1);
      AppendAttribute(to, static_cast<uint16_t>(type | NLA_F_NESTED), nested);
    } else if (prng.Chance(1, 2)) {
      AppendAttribute(to, type, RandomBytes(prng, kLargestAttribute));
    } else {
      AppendAttribute(to, type, Plausible(prng, type), prng.Chance(1, 16) ? prng.Below(64) : 0);
    }
    if (to.size() > 40'000) return;
  }
}

// Everything that some command requires; now and then something is missing.
void AppendRight(base::Prng& prng, Bytes& to) {
  for (const uint16_t type : {KCCM_A_NODE, KCCM_A_CLUSTER, KCCM_A_KEY, KCCM_A_ADDRESS}) {
    if (prng.Chance(15, 16)) AppendAttribute(to, type, Plausible(prng, type));
  }
}

Bytes RandomCommand(base::Prng& prng, uint16_t family, uint32_t number) {
  Bytes message(NLMSG_HDRLEN + GENL_HDRLEN);
  if (prng.Chance(2, 3)) AppendRight(prng, message);
  if (prng.Chance(1, 2)) AppendAttributes(prng, message, 0);
  if (prng.Chance(1, 16)) message.resize(message.size() - prng.Below(message.size() - 19));
  genlmsghdr generic = {};
  generic.cmd = static_cast<uint8_t>(prng.Below(KCCM_CMD_MAX + 3));
  generic.version = prng.Chance(7, 8) ? 1 : static_cast<uint8_t>(prng.Next());
  nlmsghdr head = {};
  head.nlmsg_len = static_cast<uint32_t>(message.size());
  head.nlmsg_type = family;
  head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  if (generic.cmd >= KCCM_CMD_PEER_GET || prng.Chance(1, 8)) head.nlmsg_flags |= NLM_F_DUMP;
  head.nlmsg_seq = number;
  std::memcpy(message.data(), &head, sizeof(head));
  std::memcpy(message.data() + NLMSG_HDRLEN, &generic, sizeof(generic));
  return message;
}

// Reads until the kernel has answered; 0 or an errno. *family: as it says it is, if it does.
int Answer(int netlink, uint16_t* family) {
  alignas(NLMSG_ALIGNTO) static char answer[65536];
  for (;;) {
    const ssize_t got = recv(netlink, answer, sizeof(answer), 0);
    if (got < 0) Fail("kccm-netlink-fuzz: no answer");
    for (size_t at = 0; at + NLMSG_HDRLEN <= static_cast<size_t>(got);) {
      const auto* head = reinterpret_cast<const nlmsghdr*>(answer + at);
      const char* data = answer + at + NLMSG_HDRLEN;
      at += NLMSG_ALIGN(head->nlmsg_len);
      if (head->nlmsg_type == NLMSG_DONE) return 0;
      if (head->nlmsg_type == NLMSG_ERROR) {
        return -reinterpret_cast<const nlmsgerr*>(data)->error;
      }
      // The family's id is what the controller says after its name.
      const char* end = answer + at;
      for (const char* attr = data + GENL_HDRLEN; family && attr < end;) {
        const auto* attr_head = reinterpret_cast<const nlattr*>(attr);
        if (attr_head->nla_type == CTRL_ATTR_FAMILY_ID) {
          std::memcpy(family, attr + NLA_HDRLEN, sizeof(*family));
        }
        attr += NLA_ALIGN(attr_head->nla_len);
      }
    }
  }
}

uint16_t FindFamily(int netlink) {
  constexpr char kName[] = KCCM_GENL_NAME;
  Bytes message(NLMSG_HDRLEN + GENL_HDRLEN);
  AppendAttribute(message, CTRL_ATTR_FAMILY_NAME, Bytes(std::begin(kName), std::end(kName)));
  nlmsghdr head = {};
  head.nlmsg_len = static_cast<uint32_t>(message.size());
  head.nlmsg_type = GENL_ID_CTRL;
  head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  std::memcpy(message.data(), &head, sizeof(head));
  message[NLMSG_HDRLEN] = CTRL_CMD_GETFAMILY;
  message[NLMSG_HDRLEN + 1] = 1;
  uint16_t family = 0;
  if (send(netlink, message.data(), message.size(), 0) < 0 || Answer(netlink, &family) != 0) {
    Fail("kccm-netlink-fuzz: the family kccm");
  }
  return family;
}

Tally Fuzz(uint64_t seed, uint32_t commands) {
  const int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (netlink < 0) Fail("kccm-netlink-fuzz: netlink");
  const uint16_t family = FindFamily(netlink);
  base::Prng prng(seed);
  Tally tally;
  for (uint32_t number = 1; number <= commands; ++number) {
    const Bytes message = RandomCommand(prng, family, number);
    if (send(netlink, message.data(), message.size(), 0) < 0) Fail("kccm-netlink-fuzz: send");
    const int error = Answer(netlink, nullptr);
    ++(error == 0 ? tally.accepted : error == EPERM ? tally.not_permitted : tally.refused);
  }
  close(netlink);
  return tally;
}

}  // namespace
}  // namespace clustix::vm

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: kccm-netlink-fuzz SEED COMMANDS\n";
    return 2;
  }
  const clustix::vm::Tally tally = clustix::vm::Fuzz(std::strtoull(argv[1], nullptr, 10),
                                                     static_cast<uint32_t>(std::atoi(argv[2])));
  std::cout << "accepted " << tally.accepted << " refused " << tally.refused << " not permitted "
            << tally.not_permitted << std::endl;
  return 0;
}
