package main
import ("fmt";"os";"github.com/hanwen/go-fuse/v2/fs";"github.com/hanwen/go-fuse/v2/fuse")
func main(){
 r,err:=fs.NewLoopbackRoot("/tmp/ftry"); if err!=nil{panic(err)}
 s,err:=fs.Mount("/tmp/fmnt",r,&fs.Options{MountOptions:fuse.MountOptions{DirectMountStrict:true,DirectMount:true}})
 if err!=nil{fmt.Println("MOUNT",err);os.Exit(1)}
 fmt.Println(os.WriteFile("/tmp/fmnt/x",[]byte("hi"),0o644))
 b,_:=os.ReadFile("/tmp/fmnt/x"); fmt.Println(string(b))
 fmt.Println(s.Unmount())
}
