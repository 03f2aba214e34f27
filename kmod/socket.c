// SPDX-License-Identifier: GPL-2.0
/* Kernel TCP sockets; see socket.h. */
#include "socket.h"

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <net/ipv6.h>

#include "node.h"

#define BACKLOG KCCM_HANDSHAKES_PENDING

int kccm_address_bytes(const struct sockaddr_storage *address)
{
	switch (address->ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

/*
 * No linger: closing resets the connection at once. A socket of the kernel holds no reference to
 * its namespace, so nothing of it may stay behind, neither unsent data nor TIME_WAIT; and nothing
 * is lost, because the session has its own acknowledgements.
 *
 * sk_allocation, sk_use_task_frag: sending must neither wait for memory that reclaim would have to
 * send for, nor touch the page fragment of a task that is itself in the middle of sending.
 */
void kccm_socket_set_options(const struct kccm_node *node, struct socket *sock)
{
	struct sock *sk = sock->sk;
	u32 tolerance_ms = node->config.tolerance_ms ?: KCCM_TOLERANCE_MS;

	sk->sk_allocation = GFP_ATOMIC;
	sk->sk_use_task_frag = false;
	sock_no_linger(sk);
	tcp_sock_set_nodelay(sk);
	tcp_sock_set_user_timeout(sk, tolerance_ms * KCCM_DEAD_FACTOR);
}

/*
 * The locks of kernel sockets are of other lockdep classes than those of user space, and ours are
 * taken with no lock of the module held, so they need no classes of their own. Those would make
 * lockdep kernels hold a reference to the module for each socket, and rmmod impossible.
 */
int kccm_socket_create(struct kccm_node *node, int family, struct socket **out)
{
	struct socket *sock;
	int error = sock_create_kern(node->net, family, SOCK_STREAM, IPPROTO_TCP, &sock);

	if (error)
		return error;
	kccm_socket_set_options(node, sock);
	*out = sock;
	return 0;
}

int kccm_socket_listen(struct kccm_node *node, struct socket **out)
{
	struct sockaddr_storage address = node->address;
	struct socket *sock;
	int error = kccm_socket_create(node, address.ss_family, &sock);

	if (error)
		return error;
	sock_set_reuseaddr(sock->sk);
	error = kernel_bind(sock, (struct sockaddr *)&address, kccm_address_bytes(&address));
	if (!error)
		error = kernel_listen(sock, BACKLOG);
	if (error) {
		sock_release(sock);
		return error;
	}
	*out = sock;
	return 0;
}

/* The node's own address with any port; false: it listens at all of them, or in the other family.
 */
static bool source_address(const struct kccm_node *node, int family, struct sockaddr_storage *from)
{
	struct sockaddr_in6 *from6 = (struct sockaddr_in6 *)from;
	struct sockaddr_in *from4 = (struct sockaddr_in *)from;

	*from = node->address;
	if (from->ss_family != family)
		return false;
	if (family == AF_INET6) {
		from6->sin6_port = 0;
		return !ipv6_addr_any(&from6->sin6_addr);
	}
	from4->sin_port = 0;
	return from4->sin_addr.s_addr != htonl(INADDR_ANY);
}

int kccm_socket_connect(struct kccm_node *node, struct socket *sock,
			const struct sockaddr_storage *address)
{
	struct sockaddr_storage to = *address;
	struct sockaddr_storage from;
	int error;

	if (source_address(node, to.ss_family, &from)) {
		error = kernel_bind(sock, (struct sockaddr *)&from, kccm_address_bytes(&from));
		if (error)
			return error;
	}
	/* How long connecting may take; set anew when it has succeeded. */
	tcp_sock_set_user_timeout(sock->sk, KCCM_HANDSHAKE_MS);
	return kernel_connect(sock, (struct sockaddr *)&to, kccm_address_bytes(&to), O_NONBLOCK);
}
