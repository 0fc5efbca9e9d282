using System.Runtime.InteropServices;

namespace ZeroFlow.Host.Composition;

/// <summary>
/// The system's time, with timestamps that go on while the machine is suspended (CLOCK_BOOTTIME). A server that slept
/// with its machine must notice that it did; the usual steady clock stands still meanwhile, and the wall clock jumps.
/// </summary>
internal sealed partial class BootClock : TimeProvider
{
    private const int ClockBootTime = 7;
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <inheritdoc/>
    public override long TimestampFrequency => NanosecondsPerSecond;

    /// <inheritdoc/>
    public override long GetTimestamp() =>
        ClockGetTime(ClockBootTime, out TimeSpec now) == 0
            ? (now.Seconds * NanosecondsPerSecond) + now.Nanoseconds
            : throw new PlatformNotSupportedException("The system has no CLOCK_BOOTTIME.");

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [SuppressGCTransition]
    private static partial int ClockGetTime(int clock, out TimeSpec now);

    private readonly struct TimeSpec
    {
        public readonly nint Seconds;
        public readonly nint Nanoseconds;
    }
}
