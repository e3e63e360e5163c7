// Command larder is a pull-through caching registry: larder serve runs it by itself, larder registry and larder controller in a cluster,
// larder pull fills it, larder sweep and larder rm empty it, larder history, pin, unpin and rollback say and change what a tag is, larder grants
// says who may pull what.
package main

import (
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/store"
	"github.com/spf13/cobra"
)

// main ends with 2 also for settings of a storage driver that it refuses.
func main() { cli.Main(newRoot(), store.ErrSettings) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "larder",
		Short: "A pull-through caching registry",
		Long:  "Larder keeps the container images that you run, and keeps them fresh.",
		Args:  cli.Args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newServe(), newPull(), newSweep(), newRemove(), newGrants(), newExport(), newImport(), newCopy(),
		newHistory(), newPin(), newUnpin(), newRollback(),
		newRegistry(), newController(), newCleanup(), newRewrite(), newVersion())
	return root
}
