# Appends the rule for the static library to nginx's Makefile. Make cannot know
# whether it is out of date, so that cargo is asked each time.

seckill_root=`cd $ngx_addon_dir/.. && pwd`
seckill_objs=`cd $NGX_OBJS && pwd`

cat << END                                                    >> $NGX_MAKEFILE

$seckill_target: $NGX_OBJS/seckill/libngx_http_seckill_module.a

.PHONY: seckill_cargo
seckill_cargo:

$NGX_OBJS/seckill/libngx_http_seckill_module.a: seckill_cargo
	mkdir -p $NGX_OBJS/seckill
	NGINX_SOURCE_DIR=$PWD NGINX_BUILD_DIR=$seckill_objs \\
	CARGO_TARGET_DIR=\$\${CARGO_TARGET_DIR:-$seckill_objs/seckill/cargo} \\
	sh -c '\$\${CARGO:-cargo} rustc --profile module --locked --crate-type staticlib \\
	    --no-default-features --manifest-path $seckill_root/nginx-module/Cargo.toml \\
	    && cp "\$\$CARGO_TARGET_DIR/module/libngx_http_seckill_module.a" $seckill_objs/seckill/'

END
