package imageref

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const (
	localhost = "localhost"
	httpsPort = "443"

	// maxHostName leaves room for "_65535" in a file name of 255 bytes.
	maxHostName = 255 - len("_65535")
	maxLabel    = 63
)

// ParseHost normalises host[:port]: lower case, IPv6 addresses in their canonical form, and Docker Hub's other hosts as
// "docker.io". A scheme, a path or credentials are errors. A port stays as it is written, but a host of one label, except
// "localhost", gets ":443" where it has none (its name would be an organisation's else), and one whose last label looks like
// name-port loses it.
func ParseHost(s string) (string, error) {
	host, err := normaliseHost(s)
	if err != nil {
		return "", fmt.Errorf("parsing host %q: %w", s, err)
	}
	return host, nil
}

func normaliseHost(s string) (string, error) {
	if strings.ContainsAny(s, "/@") {
		return "", errors.New("must be host[:port], without scheme, path and credentials")
	}
	s = strings.ToLower(s)
	if strings.HasPrefix(s, "[") {
		return normaliseAddress(s)
	}
	name, port, ported := strings.Cut(s, ":")
	if ported && !isPort(port) {
		return "", errPort(port)
	}
	if err := checkHostName(name); err != nil {
		return "", err
	}
	switch {
	case s == "index.docker.io" || s == "registry-1.docker.io":
		return hubHost, nil
	case !ported && !strings.Contains(name, ".") && name != localhost:
		return name + ":" + httpsPort, nil
	case port == httpsPort && looksPorted(name):
		return name, nil
	}
	return s, nil
}

// normaliseAddress reads "[address]" or "[address]:port", in lower case.
func normaliseAddress(s string) (string, error) {
	text, port, ok := strings.Cut(s[1:], "]")
	if !ok {
		return "", errors.New("the closing bracket is missing")
	}
	if port != "" && (port[0] != ':' || !isPort(port[1:])) {
		return "", errPort(strings.TrimPrefix(port, ":"))
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
		return "", errors.New("must have an IPv6 address in its brackets, without zone and embedded IPv4 address")
	}
	return "[" + addr.String() + "]" + port, nil
}

func checkHostName(name string) error {
	if len(name) > maxHostName {
		return fmt.Errorf("is %d characters long, %d are allowed", len(name), maxHostName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" {
		return errors.New("has an empty part")
	}
	if len(label) > maxLabel {
		return fmt.Errorf("has a part of %d characters, %d are allowed", len(label), maxLabel)
	}
	valid := span(label, func(b byte) bool { return isLowerAlnum(b) || b == '-' })
	if valid < len(label) {
		return fmt.Errorf("must not contain %q", []rune(label[valid:])[0])
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return fmt.Errorf("must not have '-' at an end of %q", label)
	}
	return nil
}

// isPort says whether s is a port from 1 to 65535 without leading zeros: one way to write each, so that the path form
// stays lossless.
func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' || span(s, isDigit) < len(s) {
		return false
	}
	return len(s) < 5 || s <= "65535"
}

func errPort(port string) error {
	return fmt.Errorf("port %q must be a number from 1 to 65535", port)
}

// encodeHost turns a normalised host into one path component.
func encodeHost(host string) string {
	if strings.HasPrefix(host, "[") {
		return encodeAddress(host)
	}
	if name, port, ported := strings.Cut(host, ":"); ported {
		return name + "_" + port
	}
	if looksPorted(host) {
		return host + "_" + httpsPort
	}
	return host
}

// decodeHost is the inverse of encodeHost, if the component stands for a host. The result is not normalised yet.
func decodeHost(component string) (host string, ok bool) {
	component = strings.ToLower(component)
	if host, ok := decodeAddress(component); ok {
		return host, true
	}
	if name, port, ok := cutPort(component, '_'); ok {
		return name + ":" + port, true
	}
	if name, port, ok := cutLegacyPort(component); ok {
		return name + ":" + port, true
	}
	return component, component == localhost || strings.Contains(component, ".")
}

// looksPorted says whether a host without port would be read as kube-image-keeper's host-port.
func looksPorted(name string) bool {
	_, _, ok := cutLegacyPort(name)
	return ok && strings.Contains(name, ".")
}

// cutLegacyPort reads kube-image-keeper's form, "reg.example-5000" or "localhost-5000". The digits after the last dash of a
// punycode label are part of its name.
func cutLegacyPort(component string) (name, port string, ok bool) {
	name, port, ok = cutPort(component, '-')
	if !ok || name != localhost && !strings.Contains(name, ".") {
		return "", "", false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.HasPrefix(last, "xn--") || checkLabel(last) != nil {
		return "", "", false
	}
	return name, port, true
}

func cutPort(component string, separator byte) (name, port string, ok bool) {
	i := strings.LastIndexByte(component, separator)
	if i < 0 || !isPort(component[i+1:]) {
		return "", "", false
	}
	return component[:i], component[i+1:], true
}
