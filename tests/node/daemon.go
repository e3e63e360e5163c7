package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// patience is how long one step of starting may take, on a machine that does other things too.
const patience = 2 * time.Minute

// daemon is a process of the cluster.
type daemon struct {
	process *os.Process
	log     string
	ended   chan struct{}
	stopped bool // it was told to end
}

// run starts a process of the cluster. It is killed if this one dies, and spared the terminal's Ctrl-C.
func (n *Node) run(folder, name string, args ...string) error {
	if err := os.MkdirAll(n.Logs, 0o755); err != nil {
		return err
	}
	d := &daemon{log: filepath.Join(n.Logs, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.Background(), filepath.Join(folder, name), args...) // it outlives the start
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = log, log, n.environment(), n.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	d.process = cmd.Process
	go func() {
		_ = cmd.Wait()
		close(d.ended)
	}()
	n.daemons[name] = d
	return nil
}

func (n *Node) running(name string) bool {
	d := n.daemons[name]
	return d != nil && !d.hasEnded()
}

func (d *daemon) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// stop ends processes together, and waits until they have.
func (n *Node) stop(names ...string) {
	var all sync.WaitGroup
	for _, name := range names {
		if d := n.daemons[name]; d != nil {
			d.stopped = true
			all.Go(d.stop)
		}
	}
	all.Wait()
}

func (d *daemon) stop() {
	_ = d.process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		_ = d.process.Kill()
		<-d.ended
	}
}

// await waits until ok returns no error. It gives up when a process of the cluster ends.
func (n *Node) await(ctx context.Context, what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		if dead := n.dead(); dead != nil {
			return dead
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for %s: %w", what, ctx.Err()), err)
		}
	}
}

// dead tells of a process that ended by itself, with the end of its log.
func (n *Node) dead() error {
	for name, d := range n.daemons {
		if d.hasEnded() && !d.stopped {
			log, _ := os.ReadFile(d.log)
			lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
			return fmt.Errorf("%s has ended:\n%s", name, bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
		}
	}
	return nil
}

// ports are those of the cluster's processes, on the node's address alone.
type ports struct{ etcd, etcdPeer, api, kubelet, kubeletHealth, proxyHealth, proxyMetrics int }

// choose takes free ports below those that the kernel gives to clients.
func (p *ports) choose() error {
	next := 20000 + os.Getpid()%5000
	for _, port := range []*int{&p.etcd, &p.etcdPeer, &p.api, &p.kubelet, &p.kubeletHealth, &p.proxyHealth, &p.proxyMetrics} {
		for ; *port == 0; next++ {
			if next > 32000 {
				return errors.New("finding free ports: there are none from 20000 on")
			}
			if free(next) {
				*port = next
			}
		}
	}
	return nil
}

func free(port int) bool {
	return !slices.ContainsFunc([]string{IP, "127.0.0.1"}, func(ip string) bool {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(ip), Port: port})
		if err != nil {
			return true
		}
		return l.Close() != nil
	})
}
