package origin

import "slices"

// Match chooses requests. Its methods return a narrower Match and leave their receiver as it is.
type Match struct {
	tests    []func(*Request) bool
	from, to int // ordinals among the requests that pass the tests, from 1; to 0: no end
}

// Everything matches every request, also those for tokens, at the CDN, and those that are challenged.
func Everything() Match { return Match{} }

// Manifests matches requests for manifests.
func Manifests() Match { return kinds(KindManifest) }

// Blobs matches requests for blobs at the registry (with a CDN, those that are redirected).
func Blobs() Match { return kinds(KindBlob) }

// Tags matches requests for tag lists.
func Tags() Match { return kinds(KindTags) }

// Referrers matches requests to the referrers API.
func Referrers() Match { return kinds(KindReferrers) }

// Pings matches requests for /v2/.
func Pings() Match { return kinds(KindPing) }

// Tokens matches requests at the token server.
func Tokens() Match { return kinds(KindToken) }

// CDN matches requests at the CDN.
func CDN() Match { return kinds(KindCDN) }

// Challenges matches requests that are answered with an authentication challenge.
func Challenges() Match { return kinds(KindChallenge) }

func kinds(want ...Kind) Match {
	return Match{}.That(func(r *Request) bool { return slices.Contains(want, r.Kind) })
}

// That matches the requests for which test is true. Their Status is not known to a fault: it strikes before.
func (m Match) That(test func(*Request) bool) Match {
	m.tests = append(slices.Clip(m.tests), test)
	return m
}

// By matches one HTTP method.
func (m Match) By(method string) Match {
	return m.That(func(r *Request) bool { return r.Method == method })
}

// In matches one repository.
func (m Match) In(repository string) Match {
	return m.That(func(r *Request) bool { return r.Repository == repository })
}

// Of matches one reference: a tag, or a digest as a string.
func (m Match) Of(reference string) Match {
	return m.That(func(r *Request) bool { return r.Reference == reference })
}

// Answered matches requests that were answered with a status. It is for counting.
func (m Match) Answered(status int) Match {
	return m.That(func(r *Request) bool { return r.Status == status })
}

// Nth makes a fault strike the nth request only, from 1, of those that match from Fail on. Counting ignores it.
func (m Match) Nth(n int) Match { return m.between(n, n) }

// First makes a fault strike the first n requests. Counting ignores it.
func (m Match) First(n int) Match { return m.between(1, n) }

// After makes a fault spare the first n requests. Counting ignores it.
func (m Match) After(n int) Match { return m.between(n+1, 0) }

func (m Match) between(from, to int) Match {
	m.from, m.to = from, to
	return m
}

func (m Match) matches(r *Request) bool {
	for _, test := range m.tests {
		if !test(r) {
			return false
		}
	}
	return true
}

func (m Match) strikes(ordinal int) bool {
	return ordinal >= m.from && (m.to == 0 || ordinal <= m.to)
}
