// Command larder-proxy is a node's relay: it hands the pulls of a node to the registry replica that owns the repository, and to the origin
// when none answers. It has no access to the API server, and no code for it.
package main

import "github.com/larder-dev/larder/internal/app/cli"

func main() { cli.Main(newRelay()) }
