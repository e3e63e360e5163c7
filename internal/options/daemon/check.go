package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// CheckAddress says what is wrong with the address to listen on that a flag names.
func CheckAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(cmp.Or(port, "none"), 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--%s: %q: write host:port, such as 127.0.0.1:7439 or :7439", flag, address)
	}
	return nil
}

// checkApart refuses one address for two listeners, but not two free ports.
func checkApart(listen, metricsListen string) error {
	if listen == metricsListen && !strings.HasSuffix(listen, ":0") {
		return fmt.Errorf("--%s and --%s: both are %q: write two addresses", flagListen, flagMetricsListen, listen)
	}
	return nil
}

// CheckPath refuses an empty path of a file or a folder.
func CheckPath(flag, path, kind string) error {
	if path == "" {
		return fmt.Errorf("--%s: empty: write the path of a %s", flag, kind)
	}
	return nil
}

// CheckFolder refuses what is no folder.
func CheckFolder(flag, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--%s: %q: there is no such folder", flag, path)
	case err == nil && !info.IsDir():
		return fmt.Errorf("--%s: %q: not a folder", flag, path)
	case err != nil:
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return nil
}

func checkChoice(flag, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		last := len(choices) - 1
		return fmt.Errorf("--%s: %q: write %s or %s", flag, value, strings.Join(choices[:last], ", "), choices[last])
	}
	return nil
}
