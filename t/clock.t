use lib 't/lib';

# An nginx whose wall clock this suite sets: libfaketime reads the offset from a
# file at each call.
our $offset;

# Sets the wall clock of nginx, as an offset to the right one.
sub set_clock {
    open my $out, '>', "$offset.new" or die $!;
    print $out "$_[0]\n";
    close $out;
    rename "$offset.new", $offset;
}

BEGIN {
    require File::Temp;
    my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1'
        or die "libfaketime is missing; run: scripts/install.sh test\n";
    our $folder = File::Temp->newdir('seckill-clock-XXXXXX', TMPDIR => 1);
    $offset = "$folder/offset";
    my $nginx = $ENV{TEST_NGINX_BINARY} // '/usr/sbin/nginx';
    open my $wrapper, '>', "$folder/nginx" or die $!;
    # The monotonic clock never jumps on a real machine either.
    print $wrapper "#!/bin/sh\nexec env LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=$offset",
        " FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 $nginx \"\$@\"\n";
    close $wrapper;
    chmod 0755, "$folder/nginx", "$folder";
    $ENV{TEST_NGINX_BINARY} = "$folder/nginx";
    set_clock('+0');
}

use SeckillTest 'no_plan';
use SeckillClick qw(status_of get);

our $gate = gate_location() . ' location = /api/time { seckill_time; } location ~ /state$ { seckill_state; }'
    . ' location ~ /path$ { seckill_path; }';

# The statuses of $n clicks by different shoppers, counted.
sub clicks {
    my ($prefix, $n) = @_;
    my %count;
    $count{status_of("$prefix$_")}++ for 1 .. $n;
    return CORE::join ' ', map {"$_ x $count{$_}"} sort keys %count;
}

# Different shoppers click until $n were admitted, for ten seconds at most: the
# unspent permits of a lease that ends meanwhile can be bought a moment later. Then
# ten more are refused.
sub sells {
    my ($prefix, $n) = @_;
    my ($sold, $clicks, $until) = (0, 0, now_ms() + 10_000);
    while ($sold < $n && now_ms() < $until) {
        $clicks++;
        if (status_of("$prefix$clicks") == 202) { $sold++ } else { select undef, undef, undef, 0.05 }
    }
    return "202 x $sold", 'then ' . clicks("$prefix-more", 10);
}

# How far off the edge's clock is, in hours.
sub hours_off {
    my ($now) = get('/api/time') =~ /"now_ms":(\d+)/;
    return sprintf '%.0f', ($now - now_ms()) / 3_600_000;
}

sub state { get('/api/rounds/1/products/153/state') =~ /"state":"(\w+)"/ ? $1 : 'none' }

# A worker gets only the environment variables that the configuration names.
add_block_preprocessor(sub {
    my $names = CORE::join ' ', map {"env $_;"} qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC DONT_FAKE_MONOTONIC);
    $_[0]->set_value(main_config => $names);
});

run_tests();

__DATA__

=== TEST 1: the clock jumps back before the start: the sale waits, and sells no more than it has
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /api/time
--- response_body_filters eval
sub {
    my @results = main::clicks('early', 10);
    main::set_clock('-3600');
    push @results, main::hours_off() . ' h', main::state();
    my %count;
    # Signed by the right clock, their URLs are not valid at this edge for now.
    push @results, main::clicks('during', 5);
    main::set_clock('+0');
    push @results, main::state(), main::sells('late', 10);
    return CORE::join(', ', @results) . "\n";
}
--- response_body
202 x 10, -1 h, scheduled, 403 x 5, open, 202 x 10, then 410 x 10



=== TEST 2: the clock jumps back within the sale: nobody notices
--- sale
1 153 limit=20 opens=-2h ends=+2h
--- config eval: $::gate
--- request: GET /api/time
--- response_body_filters eval
sub {
    my @results = main::clicks('early', 10);
    main::set_clock('-30');
    push @results, main::state(), main::clicks('during', 5), main::clicks('early', 1);
    main::set_clock('+0');
    push @results, main::sells('late', 5);
    return CORE::join(', ', @results) . "\n";
}
--- response_body
202 x 10, open, 202 x 5, 409 x 1, 202 x 5, then 410 x 10



=== TEST 3: the clock jumps past the end and back
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /api/time
--- response_body_filters eval
sub {
    my @results = main::clicks('early', 10);
    main::set_clock('+7200');
    push @results, main::state(), main::clicks('during', 5);
    main::set_clock('+0');
    push @results, main::state(), main::sells('late', 10);
    return CORE::join(', ', @results) . "\n";
}
--- response_body
202 x 10, ended, 403 x 5, open, 202 x 10, then 410 x 10
