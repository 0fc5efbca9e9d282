namespace ZeroFlow.Pipeline.Memory;

/// <summary>A part of a shared buffer. Who holds it owns one reference to the lease.</summary>
/// <param name="Lease">The buffer.</param>
/// <param name="Start">First byte within the lease.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct BufferPiece(BufferLease Lease, int Start, int Length);
