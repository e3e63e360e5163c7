package server

import (
	"fmt"
	"os"
)

// host is what the origin is called in Larder's paths.
const host = "reg.example"

// larder runs as a person runs it, with its access log on and its metrics.
func (b Binaries) larder(address string, s Setup, logLevel string) command {
	config := fmt.Sprintf("registries:\n- host: %s\n  endpoints: [%q]\nupdateInterval: %s\n", host, s.Origin, s.Interval)
	return command{
		prefix: "/v2/" + host + "/",
		files:  map[string]string{"larder.yaml": config},
		args:   []string{b.Larder, "serve", "--listen", address, "--metrics-listen", "127.0.0.1:0", "--log-level", logLevel},
	}
}

// proxy runs as on a node, with its access log on and its metrics, but without a token. It is told of no origin: what its registry does
// not answer fails.
func (b Binaries) proxy(address string, s Setup) command {
	return command{
		prefix: "/v2/" + host + "/",
		args:   []string{b.Proxy, "--listen", address, "--metrics-listen", s.Probes, "--registry", s.Registry},
	}
}

// distribution runs without its access log and without traces, which would only slow it down.
func (b Binaries) distribution(address string, s Setup) command {
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: %q}
proxy: {remoteurl: %q}
`, s.Dir+"/store", address, s.Origin)
	return command{
		prefix: "/v2/",
		files:  map[string]string{"config.yml": config},
		args:   []string{b.Distribution, "serve", "config.yml"},
		env:    []string{"OTEL_TRACES_EXPORTER=none"},
	}
}

// nginx serves the files themselves, by sendfile, with as many workers as there are cores and no access log.
func (b Binaries) nginx(address string, s Setup) (command, error) {
	if b.Nginx == "" {
		return command{}, fmt.Errorf("nginx: %w", ErrMissing)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	config := fmt.Sprintf(`%s
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  server { listen %s; root %q; }
}
`, user, address, s.Content)
	return command{
		prefix: "/v2/",
		files:  map[string]string{"nginx.conf": config},
		args:   []string{b.Nginx, "-p", s.Dir, "-c", "nginx.conf"},
	}, nil
}
