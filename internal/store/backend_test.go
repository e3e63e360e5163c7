package store

import (
	"errors"
	"testing"
)

func TestOpen_TellsSettingsThatTheDriverRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"An unknown driver":           {Driver: "tape"},
		"A parameter that is no good": {Driver: filesystemDriver, Parameters: map[string]any{"maxthreads": "many"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Data = t.TempDir()
			if _, err := Open(t.Context(), o); !errors.Is(err, ErrSettings) {
				t.Errorf("Open returned %v, want %v", err, ErrSettings)
			}
		})
	}
}
