package webhook

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// conditions say in CEL what a selector cannot. An error in one counts as no match, so each looks first whether a field is there. What they
// cannot tell for sure they let through to the webhook. None is about pull policies, although they could be: why such an image is left alone
// is what people wonder about most, and the webhook notes it on the pod.
func conditions() []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{
		{Name: "changes-an-image", Expression: changesAnImage()},
		{Name: "not-a-mirror-pod", Expression: "!(has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)"},
		{Name: "not-a-windows-pod", Expression: "!(has(object.spec.os) && object.spec.os.name == 'windows') && " +
			"!(has(object.spec.nodeSelector) && 'kubernetes.io/os' in object.spec.nodeSelector && " +
			"object.spec.nodeSelector['kubernetes.io/os'] == 'windows')"},
	}
}

// changesAnImage compares the images of containers in their order, which no update changes; nor does one change volumes.
func changesAnImage() string {
	either := []string{"request.operation != 'UPDATE'"}
	for _, field := range []string{"containers", "initContainers", "ephemeralContainers"} {
		either = append(either, images("object", field)+" != "+images("oldObject", field))
	}
	return strings.Join(either, " || ")
}

func images(object, field string) string {
	return fmt.Sprintf("(has(%[1]s.spec.%[2]s) ? %[1]s.spec.%[2]s : []).map(c, has(c.image) ? c.image : '')", object, field)
}
