package events

import (
	"testing"

	"github.com/larder-dev/larder/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
