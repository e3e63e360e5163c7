package main

import "strings"

// pathHost writes "host:port" as a component of Larder's paths: "host_port".
func pathHost(host string) string { return strings.Replace(host, ":", "_", 1) }
