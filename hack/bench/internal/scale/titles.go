package scale

import (
	"fmt"

	"github.com/larder-dev/larder/hack/bench/internal/report"
)

func timesRow(o Options) report.Row {
	return report.Row{
		Name:  "times",
		Title: fmt.Sprintf("%d pods of %d images", o.Pods, o.Images),
		How: fmt.Sprintf(`Both processes run. %d clients create the pods as fast as the API server takes them: each of the %d images is used, the first ones by
many pods; every fifth pod has two or three. The clock begins when the creation of a pod is asked for; objects count when a watch tells of
them. Everything is right when each image has one CachedImage, Ready, with the origin's digest and the number of its pods, and each
repository one Repository, Ready, with the number of its images. Then %d pods come with an image of their own, each when the one before is right.`,
			creators, o.Images, o.Singles),
	}
}

func usesRow(o Options) report.Row {
	return report.Row{
		Name:  "uses",
		Title: "What the processes use",
		How: fmt.Sprintf(`CPU and memory of the parts above, of a part in which each of the %d pods tells once that it runs, and of %s in which nothing
happens.`, o.Pods, o.Steady),
	}
}

func writesRow(o Options) report.Row {
	return report.Row{
		Name:  "writes",
		Title: "What is written to the API server",
		How: fmt.Sprintf(`All that its audit log tells of the two processes, by user agent, verb and resource; requests that were refused are told apart by
their status. In the part without events, %s, the one write is the Lease's, which its holder confirms every two seconds. A patch that
was answered well, but after which a watch told of no change, changed nothing.`, o.Steady),
	}
}

func againRow() report.Row {
	return report.Row{
		Name:  "again",
		Title: "Starting again in the steady state",
		How: `One process is ended and at once started again; in the moment in which it answers probes, a pod with a new image is created. The Lease
of a controller that was killed has to run out first, 15 s.`,
	}
}

func newKilledRow(o Options) report.Row {
	return report.Row{
		Name:  "killed",
		Title: fmt.Sprintf("Killed %d times meanwhile", o.Kills),
		How: fmt.Sprintf(`The same pods come to a new cluster, spread over %s, in which every %s to %s one of the two processes, by chance, is killed (SIGKILL) and
started again. The controller runs without a Lease here, so that each kill meets it at work. In the end, as after the run above, everything is
right, and every image is pulled whole from the registry while its origin answers 503: nothing was lost, nothing is there twice.`,
			kills(o), shortest, longest),
	}
}
