// Program is what the containers of tests run: it tells or serves its version, prints a file, looks a name up, fetches an address, or waits.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "pause":
		pause()
		return nil
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 3 && args[0] == "lookup":
		return lookup(args[1], args[2])
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) == 1 && args[0] == "version":
		fmt.Print(os.Getenv("VERSION"))
		return nil
	case len(args) == 2 && args[0] == "cat":
		content, err := os.ReadFile(args[1])
		fmt.Print(string(content))
		return err
	default:
		return fmt.Errorf("usage: guest pause | version | cat FILE | serve ADDRESS | lookup NAME COUNT | get URL; not %q", args)
	}
}

// pause collects the dead of its pod, as the first process of one must.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func serve(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	version := os.Getenv("VERSION")
	fmt.Println("serving version", version)
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, version)
	})}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// lookup tells the addresses of a name, once there are enough.
func lookup(name, enough string) error {
	want, err := strconv.Atoi(enough)
	if err != nil {
		return err
	}
	return patiently(func(ctx context.Context) error {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err == nil && len(addresses) < want {
			err = fmt.Errorf("%s is %v, want %d addresses", name, addresses, want)
		}
		if err == nil {
			fmt.Println(addresses)
		}
		return err
	})
}

// get tells what an address answers, once it does.
func get(url string) error {
	return patiently(func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	})
}

// patiently tries again while a cluster becomes what its API server says it is.
func patiently(try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
