package upstream

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/larder-dev/larder/internal/imageref"
)

// dockerHub are the names under which a Docker config.json knows docker.io.
var dockerHub = []string{authn.DefaultAuthKey, "docker.io", "index.docker.io", "registry-1.docker.io"}

// file is where credentials are written down.
type file interface {
	// lookup returns the credential for a repository; the zero AuthConfig where there is none.
	lookup(repo imageref.Repository) (authn.AuthConfig, error)
	// stamp changes when what is written there does.
	stamp() string
}

// inFile makes a file a source of credentials.
type inFile struct{ file }

func (f inFile) Find(_ context.Context, repo imageref.Repository) ([]authn.AuthConfig, error) {
	config, err := f.lookup(repo)
	return []authn.AuthConfig{config}, err
}

func (f inFile) Stamp(imageref.Repository) string { return f.stamp() }

// configFile is one Docker config.json. A key is a host, or a host and a path: then it holds for what lies below, and the
// longest wins.
type configFile struct {
	path string

	mu     sync.Mutex
	loaded string // the stamp of config
	config *configfile.ConfigFile
}

func openConfigFile(path string) (*configFile, error) {
	f := &configFile{path: path}
	return f, f.load()
}

func (f *configFile) stamp() string { return fileStamp(f.path) }

// load reads the file if it changed. On an error, what was read before stays.
func (f *configFile) load() error {
	stamp := f.stamp()
	if f.config != nil && stamp == f.loaded {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("opening credentials file: %w", err)
	}
	defer file.Close()
	read, err := config.LoadFromReader(file)
	if err != nil {
		return fmt.Errorf("reading credentials file %s: %w", f.path, err)
	}
	f.config, f.loaded = read, stamp
	return nil
}

func (f *configFile) lookup(repo imageref.Repository) (authn.AuthConfig, error) {
	f.mu.Lock()
	err := f.load()
	read := f.config
	f.mu.Unlock()
	if found, ok := written(read.AuthConfigs, repo); ok {
		return authConfig(found), err
	}
	key := repo.Host
	if key == "docker.io" {
		key = authn.DefaultAuthKey
	}
	if read.CredentialsStore == "" && read.CredentialHelpers[key] == "" {
		return authn.AuthConfig{}, err
	}
	found, helperErr := read.GetAuthConfig(key)
	if helperErr != nil {
		return authn.AuthConfig{}, fmt.Errorf("asking the credential helper for %s: %w", repo.Host, helperErr)
	}
	return authConfig(found), err
}

// written looks a repository up among the credentials that stand in the file itself.
func written(auths map[string]types.AuthConfig, repo imageref.Repository) (types.AuthConfig, bool) {
	hosts := []string{repo.Host}
	if repo.Host == "docker.io" {
		hosts = dockerHub
	}
	for prefix := repo.Path; prefix != "."; prefix = path.Dir(prefix) {
		for _, host := range hosts {
			if found, ok := auths[host+"/"+prefix]; ok && authConfig(found) != (authn.AuthConfig{}) {
				return found, true
			}
		}
	}
	for _, host := range hosts {
		for _, form := range []string{"%s", "https://%s", "https://%s/", "https://%s/v1/", "https://%s/v2/", "http://%s"} {
			if found, ok := auths[fmt.Sprintf(form, host)]; ok && authConfig(found) != (authn.AuthConfig{}) {
				return found, true
			}
		}
	}
	return types.AuthConfig{}, false
}

func authConfig(c types.AuthConfig) authn.AuthConfig {
	return authn.AuthConfig{Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken}
}

// dockerConfig is the user's own config.json, found and read as Docker and Podman do.
type dockerConfig struct{}

func (dockerConfig) lookup(repo imageref.Repository) (authn.AuthConfig, error) {
	host := repo.Host
	if host == "docker.io" {
		host = name.DefaultRegistry
	}
	target, err := name.NewRepository(host + "/" + repo.Path)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("looking up credentials of %s: %w", repo, err)
	}
	auth, err := authn.DefaultKeychain.Resolve(target)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("looking up credentials of %s: %w", repo, err)
	}
	found, err := auth.Authorization()
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("looking up credentials of %s: %w", repo, err)
	}
	return *found, nil
}

// stamp covers the files that authn.DefaultKeychain may read.
func (dockerConfig) stamp() string {
	home, _ := os.UserHomeDir()
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" {
		xdg = filepath.Join(home, ".config")
	}
	var b strings.Builder
	for _, file := range []string{
		filepath.Join(home, ".docker/config.json"),
		filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"),
		os.Getenv("REGISTRY_AUTH_FILE"),
		filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json"),
		filepath.Join(xdg, "containers/auth.json"),
	} {
		b.WriteString(fileStamp(file) + " ")
	}
	return b.String()
}

func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", info.ModTime().UnixNano(), info.Size())
}
