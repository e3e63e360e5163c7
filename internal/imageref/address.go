package imageref

import (
	"encoding/hex"
	"net/netip"
	"strings"
)

const (
	groups      = 8 // in an IPv6 address
	groupLength = 4 // hexadecimal digits in each

	encodedAddress = groups*(groupLength+1) - 1
)

// encodeAddress turns "[fd00::1]:5000" into "fd00_0000_0000_0000_0000_0000_0000_0001_5000".
func encodeAddress(host string) string {
	text, port, _ := strings.Cut(host[1:], "]")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return host // no constructor of this package makes such a host
	}
	full := strings.ReplaceAll(addr.StringExpanded(), ":", "_")
	return full + strings.Replace(port, ":", "_", 1)
}

// decodeAddress is the inverse of encodeAddress.
func decodeAddress(component string) (host string, ok bool) {
	if len(component) < encodedAddress || component[groupLength] != '_' {
		return "", false
	}
	addr, ok := groupsToAddress(component[:encodedAddress])
	if !ok {
		return "", false
	}
	host = "[" + addr.String() + "]"
	if len(component) == encodedAddress {
		return host, true
	}
	port, ok := strings.CutPrefix(component[encodedAddress:], "_")
	return host + ":" + port, ok && isPort(port)
}

func groupsToAddress(s string) (netip.Addr, bool) {
	var address [16]byte
	for i := range groups {
		at := i * (groupLength + 1)
		if i > 0 && s[at-1] != '_' {
			return netip.Addr{}, false
		}
		if _, err := hex.Decode(address[2*i:], []byte(s[at:at+groupLength])); err != nil {
			return netip.Addr{}, false
		}
	}
	return netip.AddrFrom16(address), true
}
