// Package proxy runs the larder-proxy binary before a registry of its own: how it starts, what it costs, and that updating it drops
// no pull.
package proxy
