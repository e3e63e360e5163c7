package node

import (
	"fmt"
	"os/exec"
	"strings"
)

// Left lists what a node has on this machine, in words: processes, mounts, the bridge, cgroups, nft tables, files. After Stop it is nothing.
func Left() ([]string, error) {
	pids, err := processes()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, pid := range pids {
		found = append(found, fmt.Sprintf("process %d", pid))
	}
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if strings.HasPrefix(m.path, dir+"/") {
			found = append(found, "mount "+m.path)
		}
	}
	folders, err := cgroups()
	if err != nil {
		return nil, err
	}
	for _, path := range append(folders, dir, "/sys/class/net/"+bridge) {
		if exists(path) {
			found = append(found, path)
		}
	}
	for _, table := range tables {
		if exec.Command("nft", append([]string{"list", "table"}, strings.Fields(table)...)...).Run() == nil { //nolint:noctx // it is done at once
			found = append(found, "nft table "+table)
		}
	}
	return found, nil
}
