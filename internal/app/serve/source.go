package serve

import "os"

// source is what a process calls itself in events.
func source() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "/larder"
	}
	return "/larder/" + host
}
