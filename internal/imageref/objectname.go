package imageref

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

const (
	maxObjectName = 63 // fits a label's value too
	hashLength    = 12 // 60 bits
)

// ObjectName names the Kubernetes object of the image: readable, at most 63 characters, and another for every other reference.
// attempt is 0, or more where a name is taken by an object of another image.
func (r Reference) ObjectName(attempt int) string { return objectName(r.String(), attempt) }

// ObjectName names the Kubernetes object of the repository, as a reference's does.
func (r Repository) ObjectName(attempt int) string { return objectName(r.String(), attempt) }

var nameEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func objectName(full string, attempt int) string {
	hash := sha256.Sum256([]byte(full + strings.Repeat("\n", attempt)))
	return slug(full, maxObjectName-hashLength-1) + "-" + nameEncoding.EncodeToString(hash[:])[:hashLength]
}

// slug keeps the letters, digits and periods of s, cut at limit; what lies between becomes one dash.
func slug(s string, limit int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch last := b.Len() > 0 && !strings.HasSuffix(b.String(), "-") && !strings.HasSuffix(b.String(), "."); {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		case last && r == '.':
			b.WriteByte('.')
		case last:
			b.WriteByte('-')
		}
	}
	name := b.String()
	return strings.Trim(name[:min(len(name), limit)], "-.")
}
