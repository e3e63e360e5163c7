package debian

import (
	"io/fs"
	"slices"
	"strings"
)

const publicMirror = "https://deb.debian.org/debian"

// aptMirror returns the mirror from which apt, configured in etc, installs the suite; Debian's public one where there is none.
func aptMirror(etc fs.FS, suite string) string {
	for _, source := range aptSources(etc) {
		if source.suite == suite && slices.Contains(source.components, "main") && !strings.HasPrefix(source.uri, "cdrom:") {
			return source.uri
		}
	}
	return publicMirror
}

type aptSource struct {
	uri, suite string
	components []string
}

func aptSources(etc fs.FS) []aptSource {
	var sources []aptSource
	for _, pattern := range []string{"sources.list", "sources.list.d/*.list"} {
		for _, content := range contents(etc, pattern) {
			for line := range strings.Lines(content) {
				sources = append(sources, oneLine(line)...)
			}
		}
	}
	for _, content := range contents(etc, "sources.list.d/*.sources") {
		for stanza := range strings.SplitSeq(content, "\n\n") {
			sources = append(sources, deb822(stanza)...)
		}
	}
	return sources
}

// contents reads what it can: a file that it cannot read configures nothing.
func contents(etc fs.FS, pattern string) []string {
	names, err := fs.Glob(etc, pattern)
	if err != nil {
		return nil
	}
	var all []string
	for _, name := range names {
		if b, err := fs.ReadFile(etc, name); err == nil {
			all = append(all, strings.ReplaceAll(string(b), "\r\n", "\n"))
		}
	}
	return all
}

// oneLine parses "deb [options] uri suite component...".
func oneLine(line string) []aptSource {
	line, _, _ = strings.Cut(line, "#")
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != "deb" {
		return nil
	}
	fields = fields[1:]
	if len(fields) > 0 && strings.HasPrefix(fields[0], "[") {
		end := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(f, "]") })
		fields = fields[end+1:]
	}
	if len(fields) < 3 {
		return nil
	}
	return []aptSource{{uri: fields[0], suite: fields[1], components: fields[2:]}}
}

// deb822 parses a stanza of the newer format, in which every field is a list.
func deb822(stanza string) []aptSource {
	fields := map[string][]string{}
	name := ""
	for line := range strings.Lines(stanza) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		value := line
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			name, value, _ = strings.Cut(line, ":")
			name = strings.ToLower(name)
		}
		fields[name] = append(fields[name], strings.Fields(value)...)
	}
	if slices.Contains(fields["enabled"], "no") || !slices.Contains(fields["types"], "deb") {
		return nil
	}
	var sources []aptSource
	for _, uri := range fields["uris"] {
		for _, suite := range fields["suites"] {
			sources = append(sources, aptSource{uri: uri, suite: suite, components: fields["components"]})
		}
	}
	return sources
}
