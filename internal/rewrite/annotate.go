package rewrite

import (
	"encoding/json"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/api/validation"
)

// patches turns the notes into annotations, and removes what a copied pod brought along.
func (n *notes) patches(annotations map[string]string) []jsonpatch.Operation {
	wanted := n.annotations(annotations)
	if len(annotations) == 0 {
		if len(wanted) == 0 {
			return nil
		}
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", wanted)}
	}
	var patches []jsonpatch.Operation
	for _, key := range []string{AnnotationOriginals, AnnotationNotRewritten} {
		path := "/metadata/annotations/" + strings.ReplaceAll(key, "/", "~1")
		have, there := annotations[key]
		want, wants := wanted[key]
		switch {
		case wants && have != want:
			patches = append(patches, jsonpatch.NewOperation("add", path, want))
		case !wants && there:
			patches = append(patches, jsonpatch.NewOperation("remove", path, nil))
		}
	}
	return patches
}

// annotations are those that are to be on a pod that has others already.
func (n *notes) annotations(others map[string]string) map[string]string {
	wanted := map[string]string{}
	if !n.fit(others) {
		return wanted
	}
	if len(n.originals) > 0 {
		wanted[AnnotationOriginals] = encode(n.originals)
	}
	if len(n.left) > 0 {
		wanted[AnnotationNotRewritten] = encode(n.left)
	}
	return wanted
}

// fit says whether the API server takes the notes besides other annotations. It goes by what they may become at most, which is the same
// at the second application: no notes are none then, too.
func (n *notes) fit(others map[string]string) bool {
	size := n.most + len(AnnotationOriginals) + len(AnnotationNotRewritten)
	for key, value := range others {
		if key != AnnotationOriginals && key != AnnotationNotRewritten {
			size += len(key) + len(value)
		}
	}
	return size <= validation.TotalAnnotationSizeLimitB
}

// expect makes room for the notes of one image as it is in the end. The constant is for a reason, for what JSON adds, and for what an
// original may be longer: no host is written in so many more ways.
func (n *notes) expect(f field, image string) { n.most += 2*len(f.name) + len(image) + 128 }

// encode writes a map in the order of its keys.
func encode[V ~string](m map[string]V) string {
	text, _ := json.Marshal(m) // strings always can
	return string(text)
}
