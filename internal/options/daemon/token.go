package daemon

import (
	"fmt"

	"github.com/larder-dev/larder/internal/token"
	"github.com/spf13/pflag"
)

const flagToken = "token-file"

// Token is the flag that names the file of the token between larder-proxy and larder registry.
type Token struct{ path string }

// Bind adds the flag to a set.
func (t *Token) Bind(flags *pflag.FlagSet, usage string) {
	flags.StringVar(&t.path, flagToken, "", usage)
}

// Open reads the file; nil where the flag is not set.
func (t *Token) Open() (*token.File, error) {
	if t.path == "" {
		return nil, nil
	}
	file, err := token.Open(t.path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagToken, err)
	}
	return file, nil
}
