// SPDX-License-Identifier: Apache-2.0
//
// From the messages of admin.capnp to the values of client.h. Private to the layer; pure.
#ifndef CLUSTIX_LIB_CLIENT_REPLY_CODEC_H_
#define CLUSTIX_LIB_CLIENT_REPLY_CODEC_H_

#include "lib/client/client.h"
#include "proto/admin.capnp.h"

namespace clustix::client {

Status DecodeStatus(proto::Status::Reader from);
Node DecodeNode(proto::Node::Reader from);
Process DecodeProcess(proto::Process::Reader from);

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_REPLY_CODEC_H_
