namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Borrowed memory as a seekable stream, which tells a <see cref="StallWatch"/> as its bytes are taken.
/// </summary>
internal sealed class UploadBody(ReadOnlyMemory<byte> body, StallWatch watch) : Stream
{
    // Small enough that a line of 64 KiB/s shows progress well within the stall timeout.
    private const int StepBytes = 128 * 1024;

    private int _position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => body.Length;

    public override long Position
    {
        get => _position;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, body.Length);
            _position = (int)value;
        }
    }

    public override int Read(Span<byte> buffer)
    {
        ReadOnlySpan<byte> step = Take(buffer.Length).Span;
        step.CopyTo(buffer);
        return step.Length;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<int>(cancellationToken)
            : ValueTask.FromResult(Read(buffer.Span));

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <summary>Writes straight from the borrowed memory, without the copy that the base class makes.</summary>
    public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
    {
        for (ReadOnlyMemory<byte> step = Take(StepBytes); !step.IsEmpty; step = Take(StepBytes))
            await destination.WriteAsync(step, cancellationToken);
    }

    public override long Seek(long offset, SeekOrigin origin)
    {
        long start = origin switch
        {
            SeekOrigin.Begin => 0,
            SeekOrigin.Current => _position,
            _ => body.Length,
        };
        return Position = start + offset;
    }

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private ReadOnlyMemory<byte> Take(int bytesMax)
    {
        ReadOnlyMemory<byte> step = body.Slice(_position, Math.Min(bytesMax, body.Length - _position));
        _position += step.Length;
        watch.Progress();
        return step;
    }
}
