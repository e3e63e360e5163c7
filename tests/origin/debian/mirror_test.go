package debian

import (
	"testing"
	"testing/fstest"
)

func TestAptMirror_ComesFromAptsConfiguration(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none": {nil, publicMirror},
		"one line": {
			map[string]string{"sources.list": "# deb http://old.example/debian bookworm main\n\ndeb http://a.example/debian bookworm main contrib # ours\n"},
			"http://a.example/debian",
		},
		"one line with options": {
			map[string]string{"sources.list.d/a.list": "deb [ arch=amd64 signed-by=/x.gpg ] http://a.example/debian bookworm main\n"},
			"http://a.example/debian",
		},
		"deb822": {
			map[string]string{"sources.list.d/debian.sources": "Types: deb\n# why\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"},
			"http://a.example/debian",
		},
		"deb822 on several lines": {
			map[string]string{"sources.list.d/debian.sources": "Types: deb deb-src\nURIs:\n http://a.example/debian\n http://b.example/debian\nSuites:\n bookworm\nComponents: main\n"},
			"http://a.example/debian",
		},
		"the second stanza": {
			map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://s.example\nSuites: bookworm-security\nComponents: main\n\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n"},
			"http://a.example/debian",
		},
		"disabled": {
			map[string]string{"sources.list.d/debian.sources": "Enabled: no\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n"},
			publicMirror,
		},
		"sources only": {map[string]string{"sources.list": "deb-src http://a.example/debian bookworm main\n"}, publicMirror},
		"a vendor's repository of that suite": {
			map[string]string{"sources.list": "deb http://vendor.example/apt bookworm stable\ndeb http://a.example/debian bookworm main\n"},
			"http://a.example/debian",
		},
		"another suite": {map[string]string{"sources.list": "deb http://a.example/ubuntu noble main\n"}, publicMirror},
		"a disc":        {map[string]string{"sources.list": "deb cdrom:[Debian]/ bookworm main\n"}, publicMirror},
		"incomplete":    {map[string]string{"sources.list": "deb http://a.example/debian\ndeb\n"}, publicMirror},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etc := fstest.MapFS{}
			for path, content := range tc.files {
				etc[path] = &fstest.MapFile{Data: []byte(content)}
			}
			if got := aptMirror(etc, "bookworm"); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
