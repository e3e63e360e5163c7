package controller

import (
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/hooks"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/spf13/pflag"
)

const (
	flagHooksListen  = "hooks-listen"
	flagHooksSecrets = "hooks-secrets"
)

// Hooks is how registries tell of pushes.
type Hooks struct {
	Listen  string // host:port
	Secrets hooks.Secrets
}

type hooksFlags struct{ listen, secrets string }

func (f *hooksFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.listen, flagHooksListen, "", "address on which registries tell of pushes (POST /hooks/<registry>), on every replica; default: nowhere")
	flags.StringVar(&f.secrets, flagHooksSecrets, "",
		"folder with a file for each registry that may (distribution, dockerhub, github, harbor, quay), whose lines are the secrets that it may show")
}

// options returns nil where there are no hooks.
func (f *hooksFlags) options() (*Hooks, error) {
	if f.listen == "" {
		if f.secrets != "" {
			return nil, fmt.Errorf("--%s: without --%s nobody shows a secret: write both, or neither", flagHooksSecrets, flagHooksListen)
		}
		return nil, nil
	}
	err := daemon.CheckAddress(flagHooksListen, f.listen)
	if f.secrets == "" {
		return nil, errors.Join(err, fmt.Errorf("--%s: empty: write the path of a folder, so that not everybody can cause checks", flagHooksSecrets))
	}
	secrets, secretsErr := hooks.OpenSecrets(f.secrets)
	if secretsErr != nil {
		secretsErr = fmt.Errorf("--%s: %w", flagHooksSecrets, secretsErr)
	}
	if err := errors.Join(err, secretsErr); err != nil {
		return nil, err
	}
	return &Hooks{Listen: f.listen, Secrets: secrets}, nil
}
