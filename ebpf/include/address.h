/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Addresses of sockets, as a caller gave them or as the kernel has them. */
#ifndef AGENTSIGHT_ADDRESS_H
#define AGENTSIGHT_ADDRESS_H

#include "call_event.h"
#include "opens.h"

/* The kernel's end of a socket that has one. */
static __always_inline void read_peer(struct socket_address *address, struct sock *sock)
{
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	address->family = family;
	address->port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	if (family == AF_INET)
		BPF_CORE_READ_INTO((__u32 *)address->ip, sock, __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)address->ip, sock, __sk_common.skc_v6_daddr);
}

/*
 * A struct sockaddr of the caller's. Of a unix address the bytes go to `name`, which has room for
 * UNIX_ADDRESS_BYTES_MAX; returns how many. A family of 0 is what could not be read.
 */
static __always_inline __u32 read_user_address(struct socket_address *address, unsigned char *name, __u64 user_address,
					       __u64 size)
{
	__u16 port = 0;
	__u32 length;

	if (!user_address || size < sizeof(address->family) ||
	    bpf_probe_read_user(&address->family, sizeof(address->family), (void *)user_address)) {
		address->family = 0;
		return 0;
	}
	switch (address->family) {
	case AF_INET:
		bpf_probe_read_user(&port, sizeof(port), (void *)(user_address + 2));
		bpf_probe_read_user(address->ip, 4, (void *)(user_address + 4));
		break;
	case AF_INET6:
		bpf_probe_read_user(&port, sizeof(port), (void *)(user_address + 2));
		/* Behind the port is the flow label. */
		bpf_probe_read_user(address->ip, 16, (void *)(user_address + 8));
		break;
	case AF_UNIX:
		if (!name || size <= 2)
			return 0;
		length = size - 2;
		/* sun_path has 108 bytes. */
		if (size > 110)
			length = 108;
		length &= UNIX_ADDRESS_BYTES_MAX - 1;
		if (bpf_probe_read_user(name, length, (void *)(user_address + 2)))
			return 0;
		address->length = length;
		return length;
	}
	address->port = __builtin_bswap16(port);
	return 0;
}

#endif
