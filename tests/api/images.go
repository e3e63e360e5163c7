package api

import "strings"

// Images returns what may stand in a CachedImage's spec.sourceImage (true), and what may not.
func Images() map[string]bool {
	sha := "sha256:" + strings.Repeat("0", 64)
	return map[string]bool{
		"postgres":                               true,
		"postgres:15":                            true,
		"postgres:Bookworm_1.0-x":                true,
		"postgres@" + sha:                        true,
		"reg.example:5000/a/b:1.0_x@" + sha:      true,
		"a@sha512:" + strings.Repeat("f", 128):   true,
		"[fd00::1]:5000/a:1":                     true,
		"localhost:5000/a":                       true,
		"a:" + strings.Repeat("x", 128):          true,
		strings.Repeat("a/", 120) + "a:1@" + sha: true,
		"":                                       false,
		" ":                                      false,
		"postgres:":                              false,
		"postgres:15:16":                         false,
		"postgres:-x":                            false,
		"postgres@":                              false,
		"postgres@sha256:12":                     false,
		"postgres@" + strings.ToUpper(sha):       false,
		"postgres@sha512:" + strings.Repeat("f", 64): false,
		"postgres@md5:" + strings.Repeat("f", 32):    false,
		"postgres@" + sha + ":15":                    false,
		"https://docker.io/postgres":                 false,
		"docker.io/Postgres":                         false,
		"Postgres":                                   false,
		"postgres:15 ":                               false,
		"post gres":                                  false,
		"postgres:15\n":                              false,
		"/postgres":                                  false,
		"postgres/":                                  false,
		"a//b":                                       false,
		"../a":                                       false,
		"reg.example:/a":                             false,
		"reg.example:99999/a":                        false,
		"reg.example:05000/a":                        false,
		"-reg.example/a":                             false,
		strings.Repeat("a", 64) + ".example/a":       false,
		"a:" + strings.Repeat("x", 129):              false,
		strings.Repeat("a/", 400) + "a":              false,
	}
}
