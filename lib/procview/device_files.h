// SPDX-License-Identifier: Apache-2.0
//
// The node-wide files that are lists of things with names: disks, swap areas, network interfaces,
// file systems, and pressures. Pure functions, from any thread.
//
// A name that several nodes have gets the node's id in front, for all nodes alike: "2.sda",
// "2.eth0", "2:/swapfile". So a list names everything once and says where it is, and reads the same
// from every node. A node whose copy cannot be parsed is left out; the result is empty if no copy
// can.
#ifndef CLUSTIX_LIB_PROCVIEW_DEVICE_FILES_H_
#define CLUSTIX_LIB_PROCVIEW_DEVICE_FILES_H_

#include <string>

#include "lib/proc/snapshot.h"

namespace clustix::procview {

using NodeText = std::string proc::NodeSnapshot::*;

std::string AggregateDiskstats(const proc::ClusterSnapshot& cluster);
std::string AggregatePartitions(const proc::ClusterSnapshot& cluster);
std::string AggregateSwaps(const proc::ClusterSnapshot& cluster);
std::string AggregateNetDev(const proc::ClusterSnapshot& cluster);
// Every file system that some node knows.
std::string AggregateFilesystems(const proc::ClusterSnapshot& cluster);
// pressure/cpu, io or memory: of the averages the largest, of the totals the sum.
std::string AggregatePressure(const proc::ClusterSnapshot& cluster, NodeText text);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_DEVICE_FILES_H_
