//! Makes the functions of `policy::guard` visible to shared libraries, which then use them instead of those of the C library.

fn main() {
    for function in ["connect", "sendto", "sendmsg", "sendmmsg"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={function}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
