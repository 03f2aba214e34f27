// SPDX-License-Identifier: Apache-2.0
#include "lib/member/view_message.h"

#include <capnp/message.h>

#include <utility>

#include "lib/base/status.h"
#include "lib/session/wire.h"
#include "proto/message.h"
#include "proto/view.capnp.h"

namespace clustix::member {
namespace {

void Write(const AgreedView& view, proto::AgreedView::Builder to) {
  to.setEpoch(view.epoch);
  auto members = to.initMembers(static_cast<unsigned>(view.members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    members[i].setNode(view.members[i].node);
    members[i].setLife(view.members[i].life);
  }
}

// No cluster comes so far by itself; and what follows an epoch must not be 0 again.
constexpr uint32_t kEpochMax = 1u << 31;

absl::StatusOr<AgreedView> Read(proto::AgreedView::Reader from) {
  AgreedView view{.epoch = from.getEpoch(), .members = {}};
  for (const auto member : from.getMembers()) {
    const bool ascends = view.members.empty() || view.members.back().node < member.getNode();
    const bool known = member.getNode() >= KCCM_NODE_MIN && member.getNode() <= KCCM_NODE_MAX;
    if (!ascends || !known || member.getLife() == 0) {
      return absl::InvalidArgumentError("members of a view that are none");
    }
    view.members.push_back({.node = member.getNode(), .life = member.getLife()});
  }
  if (view.epoch > kEpochMax) return absl::InvalidArgumentError("an epoch that none can have");
  if ((view.epoch == 0) != view.members.empty()) {
    return absl::InvalidArgumentError("a view without members, or members without a view");
  }
  return view;
}

absl::StatusOr<Hello> Read(proto::ViewHello::Reader from) {
  ASSIGN_OR_RETURN(AgreedView installed, Read(from.getInstalled()));
  if (from.getHighestEpoch() > kEpochMax) {
    return absl::InvalidArgumentError("an epoch that none can have");
  }
  return Hello{.answered = from.getAnswered(),
               .installed = std::move(installed),
               .highest_epoch = from.getHighestEpoch()};
}

absl::StatusOr<Proposal> Read(proto::ViewProposal::Reader from) {
  Proposal proposal{.number = from.getNumber(), .base = {}, .next = {}};
  ASSIGN_OR_RETURN(proposal.base, Read(from.getBase()));
  ASSIGN_OR_RETURN(proposal.next, Read(from.getNext()));
  if (proposal.number == 0 || proposal.next.epoch <= proposal.base.epoch) {
    return absl::InvalidArgumentError("a proposal that goes back");
  }
  return proposal;
}

struct Writer {
  proto::ViewMessage::Builder to;

  void operator()(const Hello& hello) {
    auto written = to.initHello();
    written.setAnswered(hello.answered);
    Write(hello.installed, written.initInstalled());
    written.setHighestEpoch(hello.highest_epoch);
  }
  void operator()(const Proposal& proposal) {
    auto written = to.initPropose();
    written.setNumber(proposal.number);
    Write(proposal.base, written.initBase());
    Write(proposal.next, written.initNext());
  }
  void operator()(const Accept& accept) { to.setAccept(accept.number); }
  void operator()(const Install& install) { to.setInstall(install.number); }
};

absl::Status ReadWhat(proto::ViewMessage::Reader from, ViewMessage* message) {
  switch (from.which()) {
    case proto::ViewMessage::HELLO: {
      ASSIGN_OR_RETURN(message->what, Read(from.getHello()));
      return absl::OkStatus();
    }
    case proto::ViewMessage::PROPOSE: {
      ASSIGN_OR_RETURN(message->what, Read(from.getPropose()));
      return absl::OkStatus();
    }
    case proto::ViewMessage::ACCEPT:
      message->what = Accept{.number = from.getAccept()};
      return absl::OkStatus();
    case proto::ViewMessage::INSTALL:
      message->what = Install{.number = from.getInstall()};
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a message about views that this daemon does not know");
}

}  // namespace

std::vector<std::byte> EncodeViewMessage(const ViewMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<proto::ViewMessage>();
  root.setLife(message.life);
  root.setYourLife(message.your_life);
  std::visit(Writer{root}, message.what);
  return proto::WriteMessage(builder);
}

absl::StatusOr<ViewMessage> DecodeViewMessage(Bytes bytes) {
  ViewMessage message;
  RETURN_IF_ERROR(proto::ReadMessage<proto::ViewMessage>(
      bytes, [&message](proto::ViewMessage::Reader from) -> absl::Status {
        message.life = from.getLife();
        message.your_life = from.getYourLife();
        if (message.life == 0) return absl::InvalidArgumentError("a sender without a life");
        return ReadWhat(from, &message);
      }));
  return message;
}

}  // namespace clustix::member
