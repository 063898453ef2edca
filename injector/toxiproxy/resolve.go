package toxiproxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Resolve finds the address that host:port stands for, by the resolver of the machine: the first IPv4 address,
// else the first one. No host is every address. It is looked up once: whoever moves needs the proxy set anew.
func Resolve(ctx context.Context, hostport string) (string, error) {
	if hostport == "" {
		return "0.0.0.0:0", nil
	}
	host, service, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", fmt.Errorf("address %q: want host:port", hostport)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return "", fmt.Errorf("address %q: no port %q", hostport, service)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if ip, err = lookUpHost(ctx, host); err != nil {
			return "", fmt.Errorf("address %q: %w", hostport, err)
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)).String(), nil
}

func lookUpHost(ctx context.Context, host string) (first netip.Addr, err error) {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return first, err
	}
	for _, ip := range all {
		if ip.Unmap().Is4() {
			return ip, nil
		}
	}
	return all[0], nil
}
