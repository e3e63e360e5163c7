package registry

import (
	"context"
	"fmt"
	"net"

	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/replicas"
)

// join takes this replica's share of the work, where there are peers. It listens already: its port is known.
func (p *process) join() error {
	if len(p.options.Peers) == 0 {
		return nil
	}
	listen, _ := p.server.Addresses()
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("reading the own address %s: %w", listen, err)
	}
	self := net.JoinHostPort(p.options.PodIP.String(), port)
	p.share = replicas.NewShare(self, p.options.Peers, net.DefaultResolver.LookupHost, p.log.WithName("replicas"))
	return nil
}

// owns says whether this replica does for a repository what nobody asks for.
func (p *process) owns(repo imageref.Repository) bool {
	return p.share == nil || p.share.Owns(repo.String())
}

// lead is nil where no Lease says which replica deletes.
func (p *process) lead() func(context.Context, func(context.Context)) {
	if !p.options.LeaderElect {
		return nil
	}
	lease := kube.Lease{Config: p.config, Name: name, Namespace: p.options.Cluster.Namespace, Log: p.log.WithName("lease")}
	return lease.Hold
}

// background is what runs beside the server.
func (p *process) background() []func(context.Context) {
	run := []func(context.Context){p.follow}
	if p.share != nil {
		run = append(run, p.share.Run)
	}
	return run
}
