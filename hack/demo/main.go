// Demo runs a cluster of one node on this machine (see package tests/node) with Larder on it until Ctrl-C, and prints how to look around in it. With
// -down it removes what a demo left that was killed. It needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/larder-dev/larder/tests/node"
	"github.com/larder-dev/larder/tests/node/guest"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/release"
)

// host is what the demo's own origin is called.
const host = "reg.example"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	down := flag.Bool("down", false, "remove what a demo left that was killed")
	flag.Parse()
	run := demo
	if *down {
		run = node.Clean
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context) error {
	n, err := node.Start(ctx, node.Options{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("stopping")
		if err := n.Stop(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintln(os.Stderr, "demo: stopping:", err)
		}
	}()
	o, err := serveImages(ctx, n)
	if err != nil {
		return err
	}
	defer o.Close()
	fmt.Fprintln(os.Stderr, "installing Larder")
	r, err := release.New(ctx, n, map[string]string{host: o.URL()})
	if err != nil {
		return err
	}
	if err := r.Install(ctx, r.Chart()); err != nil {
		return err
	}
	tell(n)
	<-ctx.Done()
	return nil
}

// serveImages starts an origin with two versions of an image, from which the node's containerd pulls.
func serveImages(ctx context.Context, n *node.Node) (*origin.Origin, error) {
	g, err := guest.Build(ctx, filepath.Join(n.Dir, "demo"))
	if err != nil {
		return nil, err
	}
	o, err := origin.Start(origin.WithAddress(net.JoinHostPort(node.IP, "0")))
	if err != nil {
		return nil, err
	}
	for _, version := range []string{"1", "2"} {
		if _, err := o.PushContent(ctx, "team/web:"+version, g.Image("web "+version, "serve", ":8080")); err != nil {
			return nil, err
		}
	}
	return o, n.WriteHosts(host, o.URL())
}

func tell(n *node.Node) {
	fmt.Println("The cluster is ready. In another shell:")
	for _, variable := range n.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Printf("  export %s='%s'\n", name, value)
	}
	fmt.Printf(`Then try:
  kubectl get nodes,pods --all-namespaces
  kubectl create deployment web --image %s/team/web:1
  kubectl get pods --output custom-columns=POD:.metadata.name,IMAGE:.spec.containers[*].image
  kubectl get cachedimages,repositories
  kubectl describe cachedimages
  kubectl logs --namespace larder-system statefulset/larder-registry
  kubectl expose deployment web --port 80 --target-port 8080
  curl "$(kubectl get service web --output jsonpath={.spec.clusterIP})"
  crictl images
Logs of all processes: %s
Ctrl-C ends it, and leaves nothing.
`, host, n.Logs)
}
